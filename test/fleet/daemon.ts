import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';

export interface DaemonOptions {
  /** File that stdout and stderr are appended to. */
  log: string;
  /** The whole environment: nothing is inherited. */
  env: Record<string, string>;
}

/**
 * A process in a session of its own (a Ctrl-C at the terminal does not reach it) that does not keep its owner's
 * event loop alive. Its stdin is a pipe that hangs up when the owner ends it or dies, whatever killed it.
 */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #log: string;

  constructor([program, ...args]: readonly [string, ...string[]], { log, env }: DaemonOptions) {
    const output = openSync(log, 'a');
    this.#log = log;
    // not execa: it can neither unref a process nor give it a bare file descriptor
    this.#child = spawn(program, args, { stdio: ['pipe', output, output], env, cwd: '/', detached: true });
    closeSync(output);
    this.#child.on('error', () => {}); // did not start: hasExited tells
    this.#child.stdin?.on('error', () => {});
    this.#child.unref();
    if (this.#child.stdin instanceof Socket) this.#child.stdin.unref();
  }

  /** True also when it could not be started at all. */
  get hasExited(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Sends `signal`, if it is still there. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Hangs up on it. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Waits until it has ended, and gives its exit code (null: a signal ended it, or it never started). */
  async exited(): Promise<number | null> {
    this.#child.ref();
    if (!this.hasExited) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  /** The last lines of its log. */
  logTail(lines = 15): string {
    return readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}
