import { once } from 'node:events';
import { spawn } from 'node:child_process';

export interface Server {
  /** Resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts a program that serves; resolves when it has said its first word on stdout. */
export async function startServer(
  [file = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const child = spawn(file, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const first = await Promise.race([
    once(child.stdout, 'data').then(() => 'said'),
    exited.then(() => 'gone'),
  ]);
  if (first === 'gone') throw new Error(`${file} ${args.join(' ')} ended with ${String(child.exitCode)}`);
  return {
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
