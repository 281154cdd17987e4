import { execa } from 'execa';
import { processStart, type ProcessIdentity } from './process-identity.ts';

/*
 * A few lines of bash that outlive this process, whatever ends it, and then start a program that sees to what it left.
 *
 * INVARIANTS
 * - It leads a session of its own: neither a terminal's signals nor its end reach it.
 * - Its stdin is open in this process alone, so the end of it is the end of this process, after SIGKILL too.
 * - It runs nothing unless this process ended without dismissing it.
 */

const script = `IFS= read -r about || exit 0
IFS= read -r dismissed && exit 0
printf '%s\\n' "$about" | "$@"`;

export interface Watchdog {
  /** Its process lives until it is dismissed, or until the program that it started has ended. */
  readonly identity: ProcessIdentity;
  /** Resolves when it is gone. */
  dismiss(): Promise<void>;
}

/** How long bash may take to end. */
const endMs = 2_000;

/**
 * Starts a watchdog that runs `argv` once this process has gone, with the line `about` as its stdin and `env` as its
 * whole environment. Resolves when it keeps watch; undefined where there is no bash.
 */
export async function startWatchdog(
  argv: readonly [string, ...string[]],
  { about, env }: { readonly about: string; readonly env: Readonly<Record<string, string>> },
): Promise<Watchdog | undefined> {
  // With no shell above it (cron) bash takes the socket on its stdin for rshd's, and would read ~/.bashrc first.
  const bash = execa('bash', ['--norc', '-c', script, 'kompose-watchdog', ...argv], {
    cwd: '/',
    env,
    extendEnv: false,
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
    reject: false,
    detached: true,
    cleanup: false,
  });
  const { stdin, pid } = bash;
  stdin.on('error', () => undefined);
  await new Promise((resolve) => void stdin.write(`${about}\n`, resolve));
  if (pid === undefined) return undefined;
  return {
    identity: { pid, processStart: processStart(pid) ?? '' },
    dismiss: async () => {
      stdin.end('dismissed\n');
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, endMs);
      await Promise.race([bash, limit.promise]);
      clearTimeout(timer);
    },
  };
}
