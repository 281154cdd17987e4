import type { Compression, Database } from './database.ts';
import type { Variables } from './find-database.ts';

/*
 * How PostgreSQL's programs are called: `docker compose exec -T <service> <program>` or the host's own. A password is
 * never part of an argv: it travels in the environment, and `exec -e NAME` without a value takes it from there.
 */

export interface ToolCall {
  readonly program: 'pg_dump' | 'psql';
  /** A database of that server, which need not be the stack's own. */
  readonly name: string;
  readonly options: readonly string[];
  /** Variables beside the usual that a container gets too. */
  readonly variables?: readonly string[];
}

export function toolArgv(
  { at, user }: Database,
  { program, name, options, variables = [] }: ToolCall,
): [string, ...string[]] {
  const who = [`--username=${user}`, '--no-password'];
  if (at.kind === 'host') {
    const where = [`--host=${at.host}`, `--port=${at.port}`];
    return [program, ...where, ...who, ...options, `--dbname=${tcpDatabase(name)}`];
  }
  const passed = ['PGPASSWORD', 'PGAPPNAME', ...variables].flatMap((variable) => ['-e', variable]);
  const exec = [...at.compose, 'exec', '-T', ...passed, at.service] as const;
  return [...exec, program, ...who, ...options, `--dbname=${databaseWord(name)}`];
}

/** The environment in which that argv runs. DB_PASSWORD is read now: a hook may just have exported it. */
export function toolEnv(
  { at }: Database,
  mark: string,
  env: Variables,
  extra: Variables = {},
): Record<string, string> {
  const password = env['DB_PASSWORD'] || (at.kind === 'container' ? at.password : undefined);
  return {
    ...env,
    PGCONNECT_TIMEOUT: env['PGCONNECT_TIMEOUT'] ?? '15',
    PGAPPNAME: mark,
    ...(password === undefined ? {} : { PGPASSWORD: password }),
    ...extra,
  };
}

/** A plain word is taken as a name; one with `=` or `://` in it would be taken as a whole address (libpq 34.1.1). */
function databaseWord(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `dbname=${quoteConnectionValue(name)}`;
}

/** A server that has gone without a word is noticed within about a minute instead of hours. */
function tcpDatabase(name: string): string {
  const alive = 'keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000';
  return `dbname=${/^[\w.-]+$/.test(name) ? name : quoteConnectionValue(name)} ${alive}`;
}

function quoteConnectionValue(value: string): string {
  return `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}

/**
 * Ends the processes of a container that carry a mark in their environment, in whatever shell it has. pg_dump takes
 * SIGTERM to tell the server that nobody waits for its query any more; who is left after five seconds is killed.
 */
const endScript = `marked() {
  for file in /proc/[0-9]*/environ; do
    if tr '\\0' '\\n' <"$file" 2>/dev/null | grep -qxF "PGAPPNAME=$mark"; then
      pid=\${file#/proc/}
      echo "\${pid%/environ}"
    fi
  done
}
mark=$1
for signal in TERM 0 0 0 0 KILL; do
  pids=$(marked)
  [ -n "$pids" ] || exit 0
  kill -$signal $pids 2>/dev/null
  [ $signal = KILL ] || sleep 1
done`;

/** Ends what `exec` started inside the container: it does not end with the client. Undefined where nothing runs there. */
export function endInsideArgv({ at }: Database, mark: string): [string, ...string[]] | undefined {
  if (at.kind === 'host') return undefined;
  return [...at.compose, 'exec', '-T', at.service, 'sh', '-c', endScript, 'sh', mark];
}

const pack = { gzip: 'gzip -c', zstd: 'zstd -qc' } as const;
const unpack = { gzip: 'gzip -dc', zstd: 'zstd -dqc' } as const;

/** The programs on the host without which a dump of that kind can be neither written nor read. */
export function programsFor({ at }: Database, compression: Compression): string[] {
  const tools = at.kind === 'host' ? ['pg_dump', 'psql'] : [];
  return compression === 'none' ? tools : [...tools, compression];
}

/** pg_dump through the compressing program to stdout; its exit code is that of whichever failed. */
export function packed(argv: [string, ...string[]], compression: Compression): [string, ...string[]] {
  if (compression === 'none') return argv;
  return ['bash', '--norc', '-c', `set -o pipefail; "$@" | ${pack[compression]}`, 'kompose', ...argv];
}

/** stdin through the decompressing program to psql. */
export function unpacked(argv: [string, ...string[]], compression: Compression): [string, ...string[]] {
  if (compression === 'none') return argv;
  return ['bash', '--norc', '-c', `set -o pipefail; ${unpack[compression]} | "$@"`, 'kompose', ...argv];
}

/**
 * Beginning and end of what a compressed file on stdin holds, 64 KiB and 1 KiB at most; fails if the file is damaged
 * anywhere.
 */
export function endsArgv(compression: Exclude<Compression, 'none'>): [string, ...string[]] {
  const script = `set -o pipefail; ${unpack[compression]} | { head -c 65536; tail -c 1024; }`;
  return ['bash', '--norc', '-c', script];
}
