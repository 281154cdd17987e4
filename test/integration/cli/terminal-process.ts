import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { kompose as entry } from '../../fleet/release.ts';

/** `kompose` on a terminal of its own, which `script` (of util-linux) makes. stdout and stderr are one. */
export class TerminalProcess {
  text = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number>;

  constructor(home: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const words = [process.execPath, entry, ...args].map((word) => `'${word}'`).join(' ');
    this.#child = spawn('script', ['--quiet', '--return', '--command', words, '/dev/null'], {
      env: { PATH: process.env['PATH'], KOMPOSE_HOME: home, TERM: 'xterm', SHELL: '/bin/sh', ...env },
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.#ended = once(this.#child, 'close').then(([code]) => code);
  }

  /** The exit code of `kompose`, once all it wrote is here. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  async shows(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.#child.exitCode !== null) throw new Error(`ended without showing ${text}: ${this.text}`);
      await Promise.race([once(this.#child.stdout, 'data'), this.#ended]);
    }
  }
}
