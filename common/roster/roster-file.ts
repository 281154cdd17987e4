import { readFile } from 'node:fs/promises';
import { isSystemError, KomposeError } from '../errors.ts';
import { writePrivateFile } from '../private-files.ts';
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
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string, root: string, current: Roster) {
    this.#path = path;
    this.root = root;
    this.#current = current;
  }

  /** Throws `failed` for a file that is damaged or begins with another key. */
  static async open(path: string, root: string): Promise<RosterFile> {
    const entries = await readEntries(path);
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
   * Takes in what a controller tells: `entries` are those after its first `from`. Resolves once they are on the disk.
   * Throws `denied` for a roster that begins with another key, parts from the one that is known, or has a hole.
   */
  take(from: number, entries: readonly RosterEntry[]): Promise<void> {
    // One at a time: two programs' worth of entries may come at once.
    const taken = this.#saving.then(() => this.#take(from, entries));
    this.#saving = taken.catch(() => undefined);
    return taken;
  }

  async #take(from: number, entries: readonly RosterEntry[]): Promise<void> {
    const next = joined(this.#current, from, entries);
    if (next === this.#current) return;
    rooted(next, this.root);
    await writePrivateFile(this.#path, next.entries.map(toLine).join(''));
    this.#current = next;
  }
}

/** Pure. */
function joined(known: Roster, from: number, entries: readonly RosterEntry[]): Roster {
  if (from > known.count)
    throw new KomposeError('denied', `the roster has a hole after entry ${known.count}`);
  for (const [at, { body }] of entries.slice(0, known.count - from).entries()) {
    if (known.entries[from + at]?.body !== body)
      throw new KomposeError(
        'denied',
        `the roster differs in entry ${from + at + 1} from the one seen before`,
      );
  }
  return known.extend(entries.slice(known.count - from));
}

function rooted(roster: Roster, root: string): Roster {
  if (roster.root === undefined || roster.root === root) return roster;
  throw new KomposeError(
    'denied',
    `the roster begins with the key ${roster.root}, which is not trusted here`,
  );
}

async function readEntries(path: string): Promise<RosterEntry[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return '';
    throw error;
  });
  return text.split('\n').filter(Boolean).map(fromLine);
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
