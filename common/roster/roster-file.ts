import { readFileSync } from 'node:fs';
import { isSystemError, KomposeError } from '../errors.ts';
import { writePrivateFileNow } from '../private-files.ts';
import type { RosterEntry } from './entry.ts';
import { Roster } from './roster.ts';

/*
 * The newest roster that this program has seen, in a file: a line of JSON, [body, signature], for each entry.
 *
 * INVARIANTS
 * - It begins with the key whose fingerprint is trusted, `root`; there is no way around that.
 * - It only ever grows: what is shorter, or differs in an entry, changes nothing.
 * - What `current` gives is on the disk.
 */
export class RosterFile {
  readonly root: string;
  readonly #path: string;
  #current: Roster;

  private constructor(path: string, root: string, current: Roster) {
    this.#path = path;
    this.root = root;
    this.#current = current;
  }

  /** Throws `failed` for a file that is damaged or begins with another key. */
  static open(path: string, root: string): RosterFile {
    const entries = readEntries(path);
    try {
      return new RosterFile(path, root, rooted(Roster.empty.extend(entries), root));
    } catch (error) {
      const { message } = KomposeError.from(error);
      throw new KomposeError('failed', `${path} is damaged: ${message}`, { cause: error });
    }
  }

  get current(): Roster {
    return this.#current;
  }

  /**
   * Takes in what a controller tells: `entries` are those after its first `after`. They are on the disk when it returns,
   * so that what comes next meets with them. Throws `denied` for a roster that begins with another key, parts from the one
   * that is known, or has a hole.
   */
  take(after: number, entries: readonly RosterEntry[]): void {
    // Another process of this user may have seen more: what is on the disk must not shrink.
    const known = joined(this.#current, 0, readEntries(this.#path));
    const next = joined(known, after, entries);
    if (next === this.#current) return;
    writePrivateFileNow(this.#path, rooted(next, this.root).entries.map(toLine).join(''));
    this.#current = next;
  }
}

/** Pure. */
function joined(known: Roster, after: number, entries: readonly RosterEntry[]): Roster {
  if (after > known.count)
    throw new KomposeError('denied', `the roster has a hole after entry ${known.count}`);
  for (const [at, { body }] of entries.slice(0, known.count - after).entries()) {
    if (known.entries[after + at]?.body !== body)
      throw new KomposeError(
        'denied',
        `the roster differs in entry ${after + at + 1} from the one seen before`,
      );
  }
  return known.extend(entries.slice(known.count - after));
}

function rooted(roster: Roster, root: string): Roster {
  if (roster.root === undefined || roster.root === root) return roster;
  throw new KomposeError(
    'denied',
    `the roster begins with the key ${roster.root}, which is not trusted here`,
  );
}

function readEntries(path: string): RosterEntry[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean).map(fromLine);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}

function toLine({ body, signature }: RosterEntry): string {
  return `${JSON.stringify([body, signature])}\n`;
}

/** What is no entry is refused by the roster, as one that does not stand. */
function fromLine(line: string): RosterEntry {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    parsed = undefined;
  }
  const [body, signature]: unknown[] = Array.isArray(parsed) ? parsed : [];
  return { body: String(body), signature: String(signature) };
}
