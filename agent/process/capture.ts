import { execa } from 'execa';

export interface Captured {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const maxBytes = 16 * 1024 * 1024;

/**
 * Runs a short command of kompose's own to its end and keeps its output. Never throws: a program that cannot be
 * started, prints more than 16 MiB, or runs into `timeoutMs` gives a non-zero exit code and the reason as stderr.
 */
export async function capture(
  argv: readonly [string, ...string[]],
  options: { env: Readonly<Record<string, string>>; cwd?: string; timeoutMs?: number; input?: string },
): Promise<Captured> {
  const [file, ...args] = argv;
  const result = await execa(file, args, {
    cwd: options.cwd ?? '/',
    env: options.env,
    extendEnv: false,
    reject: false,
    timeout: options.timeoutMs ?? 30_000,
    maxBuffer: maxBytes,
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
  });
  const { exitCode = 127, stdout, stderr } = result;
  return { exitCode, stdout, stderr: stderr === '' && result.failed ? (result.shortMessage ?? '') : stderr };
}
