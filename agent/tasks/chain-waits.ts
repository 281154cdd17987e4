import { KomposeError } from '../../common/errors.ts';

interface Wait {
  readonly forChain: string;
  /** For people. */
  readonly what: string;
}

/**
 * Which chain of runs on this host waits for which, so that a wait which would close a circle is refused instead of
 * never ending. A chain waits for one other at a time: its hooks run one after the other.
 */
export class ChainWaits {
  readonly #waits = new Map<string, Wait>();

  /** Throws `failed`, naming both, if `forChain` waits for `chain` already, directly or through others. */
  add(chain: string, forChain: string, what: string): void {
    for (let at = this.#waits.get(forChain); at !== undefined; at = this.#waits.get(at.forChain)) {
      if (at.forChain !== chain) continue;
      const message = `refused, since both would wait for ever: ${what} would wait for run ${forChain}, and ${at.what} waits for run ${chain}`;
      throw new KomposeError('failed', message);
    }
    this.#waits.set(chain, { forChain, what });
  }

  /** The chain waits no more. */
  remove(chain: string): void {
    this.#waits.delete(chain);
  }
}
