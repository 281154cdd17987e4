import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { parseMark, type SignedMark } from './signed-head.ts';

/**
 * Remembers the newest signed head of the audit that this program has seen, in a file (0600), so that a controller
 * whose records were changed or rolled back since is found out. What cannot be kept is forgotten: a witness is nobody's
 * reason to fail. Not synced: losing the newest head to a power cut leaves an older one, or none.
 */
export class HeadWitness {
  readonly #path: string;
  readonly #periodMs: number;
  readonly #now: () => number;
  #newest: SignedMark | undefined;
  #keptMs = Number.NEGATIVE_INFINITY;
  #isKept = true;

  /** Writes at once, but no sooner than `periodMs` after the last time; `flush` writes what that held back. */
  constructor(path: string, periodMs = 0, now: () => number = monotonicMs) {
    this.#path = path;
    this.#periodMs = periodMs;
    this.#now = now;
    this.#newest = read(path);
  }

  get newest(): SignedMark | undefined {
    return this.#newest;
  }

  /** An older head than the newest changes nothing: it may be what is left of a chain that was rolled back. */
  saw(head: SignedMark): void {
    if (head.seq <= (this.#newest?.seq ?? 0)) return;
    this.#newest = head;
    this.#isKept = false;
    if (this.#now() - this.#keptMs >= this.#periodMs) this.flush();
  }

  flush(): void {
    if (this.#isKept) return;
    // Another process of this user may have seen more.
    const kept = read(this.#path);
    if (kept !== undefined && kept.seq >= (this.#newest?.seq ?? 0)) return;
    this.#keptMs = this.#now();
    const beside = `${this.#path}.${randomBytes(6).toString('hex')}`;
    try {
      writeFileSync(beside, `${JSON.stringify(this.#newest)}\n`, { mode: 0o600, flag: 'wx' });
      renameSync(beside, this.#path);
      this.#isKept = true;
    } catch {
      rmSync(beside, { force: true });
    }
  }
}

/** The global `performance` is loaded when it is first asked for: too much for a command that writes once. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function read(path: string): SignedMark | undefined {
  try {
    return parseMark(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}
