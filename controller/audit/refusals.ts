import type { Logger } from 'pino';
import type { Store } from '../store/store.ts';
import { record, type Actor } from './audit.ts';
import { RecordWindows } from './record-windows.ts';

export interface Refusal {
  readonly type: 'request.denied' | 'connection.refused' | 'host.refused' | 'login.failed';
  /** Without a certificate if we do not know who it is. */
  readonly actor: Actor;
  readonly clientAddress: string;
  readonly reason: string;
  readonly host?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

interface Deps {
  readonly store: Store;
  readonly clock: () => number;
  readonly log: Logger;
  readonly windowMs: number;
  /** So many of a kind are recorded one by one in that time; the rest is counted. */
  readonly mostRecords: number;
  /** Addresses of strangers that are told apart at a time. */
  readonly mostAddresses: number;
}

/*
 * The audit of those who were turned away, which none of them can flood.
 *
 * INVARIANTS
 * - A peer makes so many records a window, for each reason, and one that counts the rest; see RecordWindows.
 * - A stranger chooses neither name nor reason by which refusals are told apart: their address does, for so many
 *   addresses at a time; all others share one window.
 */
export class Refusals {
  readonly #deps: Deps;
  readonly #windows: RecordWindows<Refusal>;

  constructor(deps: Deps) {
    this.#deps = deps;
    const { windowMs, mostRecords } = deps;
    this.#windows = new RecordWindows({
      windowMs,
      mostRecords,
      record: (refusal) => this.#record(refusal),
      recordMore: (first, more) => {
        const counted = { ...first, reason: `${more} more of these: ${first.reason}` };
        return this.#record({ ...counted, detail: { ...first.detail, more } });
      },
    });
  }

  /** Resolves when it is durable or counted; where the store cannot take it, the log has it. */
  tell(refusal: Refusal): Promise<void> {
    return this.#windows.tell(this.#kindOf(refusal), refusal);
  }

  /** Records what is counted. */
  close(): Promise<void> {
    return this.#windows.close();
  }

  #kindOf({ type, actor, clientAddress, reason }: Refusal): string {
    if (actor.certificate !== '') return JSON.stringify([type, actor.certificate, reason]);
    const strangers = this.#windows.firsts.filter(({ actor: { certificate } }) => certificate === '');
    const own = JSON.stringify([type, clientAddress]);
    return this.#windows.has(own) || strangers.length < this.#deps.mostAddresses ? own : 'elsewhere';
  }

  async #record(refusal: Refusal): Promise<void> {
    const { store, clock, log } = this.#deps;
    try {
      await store.write((transaction) => record(transaction, clock(), refusal));
    } catch (error) {
      log.error({ err: error, ...refusal }, 'a refusal cannot be recorded');
    }
  }
}
