import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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

function quoteWord(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  return /^[\w@%+=:,./-]+$/.test(word) ? escaped : `"${escaped}"`;
}

/** Writes the unit into `folder`; gives its path. Throws `failed` where that is not allowed. */
export async function writeUnit(unit: SystemdUnit, folder: string): Promise<string> {
  const path = join(folder, `${unit.name}.service`);
  try {
    await mkdir(folder).catch((error: unknown) => {
      if (!isSystemError(error, 'EEXIST')) throw error;
    });
    await writeFile(path, unitText(unit), { mode: 0o644 });
    return path;
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const message = `${path} cannot be written (${why}): run it as root, or take --print and put it there yourself`;
    throw new KomposeError('failed', message, { cause: error });
  }
}
