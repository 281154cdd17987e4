import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Questions } from './answering.ts';

interface Told {
  readonly id: number;
  readonly told?: unknown;
  readonly error?: string;
}

/** A program of the bench in a process of its own, which answers questions. */
export class Child<All extends Questions<All>> {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #exited: Promise<unknown>;
  #next = 0;

  /** `file` lies beside this one. */
  constructor(file: string, execArgv: readonly string[] = []) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    this.#process = fork(path, { serialization: 'advanced', execArgv: [...execArgv] });
    this.#process.on('message', ({ id, told, error }: Told) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(told);
      else waiting?.reject(new Error(error));
    });
    this.#exited = once(this.#process, 'exit');
    void this.#exited.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${file} has ended`));
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  ask<What extends keyof All & string>(what: What, ask: All[What]['ask']): Promise<All[What]['answer']> {
    const id = this.#next++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#process.send({ id, what, ask });
    return waiting.promise;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#process.kill(signal);
    await this.#exited;
  }
}
