import { existsSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { isSystemError, KomposeError } from './errors.ts';

/** A service for systemd: what its sections say, in order. */
export interface SystemdUnit {
  readonly name: string;
  readonly unit: readonly string[];
  readonly service: readonly string[];
}

/** Where the machine's owner puts units. */
export const unitFolder = '/etc/systemd/system';

/** What puts a unit to work. */
export function enable(name: string): string {
  return `systemctl daemon-reload && systemctl enable --now ${name}`;
}

/** As `systemctl` reads it, started with the machine. Pure. */
export function unitText({ unit, service }: SystemdUnit): string {
  const sections = { Unit: unit, Service: service, Install: ['WantedBy=multi-user.target'] };
  return Object.entries(sections)
    .map(([title, lines]) => `[${title}]\n${lines.join('\n')}\n`)
    .join('\n');
}

/** A command line for ExecStart=: blanks, quotes, `%` and `$` stand for themselves. Pure. */
export function execLine(argv: readonly string[]): string {
  return argv.map((word) => quoteWord(word).replaceAll('$', '$$$$')).join(' ');
}

/** `NAME=VALUE` for Environment=. Pure. */
export function environmentLine(name: string, value: string): string {
  return `Environment=${quoteWord(`${name}=${value}`)}`;
}

export function environmentLines(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => environmentLine(name, value));
}

function quoteWord(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return /^[\w@%+=:,./-]+$/.test(word) ? escaped : `"${escaped}"`;
}

const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The PATH of a service: the usual one, and before it the folder where `docker` is found in the PATH of `env`, if that
 * is another. What else an administrator has in theirs is no business of a service's.
 */
export function servicePath(env: Readonly<Record<string, string>>): string {
  const folders = (env['PATH'] ?? '').split(':').filter((folder) => isAbsolute(folder));
  const dockers = folders.find((folder) => existsSync(join(folder, 'docker')));
  return dockers === undefined || usualPath.split(':').includes(dockers)
    ? usualPath
    : `${dockers}:${usualPath}`;
}

/** Whom a service with this state folder runs as: its owner, or us where it is not there yet. */
export async function ownerOf(folder: string): Promise<string> {
  const { uid, username } = userInfo();
  const owner = await stat(folder).then(
    (found) => found.uid,
    () => uid,
  );
  return owner === uid ? username : String(owner);
}

/**
 * Writes the unit into `folder`; gives its path. Throws `failed` where that is not allowed, and `conflict` for another
 * that is there, unless `replaces` it.
 */
export async function writeUnit(unit: SystemdUnit, folder: string, replaces: boolean): Promise<string> {
  const path = join(folder, `${unit.name}.service`);
  try {
    await mkdir(folder).catch((error: unknown) => {
      if (!isSystemError(error, 'EEXIST')) throw error;
    });
    if (!replaces) await refuseAnother(path, unitText(unit));
    await writeFile(path, unitText(unit), { mode: 0o644 });
    return path;
  } catch (error) {
    if (error instanceof KomposeError) throw error;
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const message = `${path} cannot be written (${why}): run it as root, or take --print and put it there yourself`;
    throw new KomposeError('failed', message, { cause: error });
  }
}

async function refuseAnother(path: string, text: string): Promise<void> {
  const present = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return text;
    throw error;
  });
  if (present === text) return;
  const message = `${path} is there already and says something else: look at it with --print, replace it with --force`;
  throw new KomposeError('conflict', message);
}
