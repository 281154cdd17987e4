import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { execa } from 'execa';
import type { Act } from './act.ts';
import { Surprise } from './surprise.ts';
import { kompose as cli } from '../release.ts';
const width = 96;
const timeoutMs = 120_000;

type Environment = Readonly<Record<string, string | undefined>>;
type Format = Parameters<typeof styleText>[0];

/** Shows commands and runs them, as a user would at this terminal. */
export class Stage {
  readonly #env: Environment;
  readonly #signal: AbortSignal;
  /** Has the one program `kompose`, to be put on PATH. */
  readonly bin: string;

  private constructor(bin: string, env: Environment, signal: AbortSignal) {
    this.bin = bin;
    this.#env = { ...env, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    this.#signal = signal;
  }

  /** `env` is laid over this process's own; an abort ends the command that runs. */
  static async build(folder: string, env: Environment, signal: AbortSignal): Promise<Stage> {
    const bin = join(folder, 'bin');
    await mkdir(bin);
    const program = `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`;
    await writeFile(join(bin, 'kompose'), program, { mode: 0o755 });
    return new Stage(bin, env, signal);
  }

  /** Plays one act. Throws a Surprise when it does not come out as it should. */
  async play(act: Act, position: string): Promise<void> {
    const { about, line, exitCode: expected = 0 } = act;
    this.line(`── ${position} `);
    for (const sentence of about) say(sentence);
    say('');
    say(`$ ${line}`, ['bold', 'cyan']);
    const since = new Date();
    const exitCode = await this.#run(line);
    if (exitCode !== expected) throw new Surprise(`exit code ${exitCode}, where ${expected} was expected`);
    if (exitCode !== 0) say(`exit code ${exitCode}, as it should be`, 'yellow');
    if (act.check) say((await act.check(since)).replaceAll(/^(?! )/gm, '✓ '), 'green');
  }

  /** A line across, under a blank one. */
  line(beginning = ''): void {
    say('');
    say(beginning.padEnd(width, '─'), 'dim');
  }

  /** In a session of its own: a Ctrl-C is ours to handle. Its output is this terminal's, in order. */
  async #run(line: string): Promise<number> {
    this.#signal.throwIfAborted();
    const child = execa('bash', ['-o', 'pipefail', '-c', line], {
      env: this.#env,
      stdio: ['ignore', 1, 1],
      detached: true,
      cleanup: false,
      reject: false,
    });
    const end = (): void => killGroup(child.pid);
    const deadline = AbortSignal.any([this.#signal, AbortSignal.timeout(timeoutMs)]);
    deadline.addEventListener('abort', end);
    const { exitCode } = await child;
    deadline.removeEventListener('abort', end);
    this.#signal.throwIfAborted();
    if (deadline.aborted) throw new Surprise(`did not end within ${timeoutMs / 1000} s`);
    return exitCode ?? 128;
  }
}

/** One or more lines on stdout; coloured on a terminal, unless NO_COLOR is set. */
export function say(text: string, format: Format = 'reset'): void {
  process.stdout.write(`${format === 'reset' ? text : styleText(format, text)}\n`);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}
