import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Server {
  /** Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** On top of our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it says, on stdout or stderr, once it serves. */
  readonly first: string;
}

/** Starts a program that serves; resolves when it has said so. */
export async function startServer(
  [file = '', ...args]: readonly string[],
  { env, first }: ServerOptions,
): Promise<Server> {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let said = '';
  const isReady = new Promise<true>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        said += bytes.toString();
        if (said.includes(first)) resolve(true);
      });
    }
  });
  const isGone = exited.then(() => false as const);
  if (!(await Promise.race([isReady, isGone]))) throw new Error(`${file} ${args.join(' ')} ended: ${said}`);
  return {
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
