import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { kompose as entry } from '../../fleet/release.ts';

/** The real `kompose`, as a process of its own. */
export class CliProcess {
  readonly child: ChildProcess & { readonly stdout: Readable; readonly stderr: Readable };
  stdout = '';
  stderr = '';
  readonly #ended: Promise<number>;

  /** `input` is what it reads on stdin; without it stdin is /dev/null. `nodeArgs` are Node's own. */
  constructor(
    home: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input?: string,
    nodeArgs: readonly string[] = [],
  ) {
    const child = spawn(process.execPath, [...nodeArgs, entry, ...args], {
      env: { PATH: process.env['PATH'], KOMPOSE_HOME: home, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new Error('a pipe is missing');
    this.child = Object.assign(child, { stdout, stderr });
    child.stdin?.end(input);
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#ended = once(this.child, 'close').then(([code, signal]) => (code === null ? signal : code));
  }

  /** The exit code, once all output is here. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  /** Waits until one of the streams has shown this. */
  async shows(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    while (!this[stream].includes(text)) {
      if (this.child.exitCode !== null)
        throw new Error(`ended without showing ${text}: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.child[stream], 'data'), this.#ended]);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export async function runCli(
  home: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const cli = new CliProcess(home, args);
  const code = await cli.ended;
  return { code, stdout: cli.stdout, stderr: cli.stderr };
}
