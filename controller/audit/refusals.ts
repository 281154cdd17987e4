import type { Logger } from 'pino';
import type { Store } from '../store/store.ts';
import { record, type Actor } from './audit.ts';

export interface Refusal {
  readonly type: 'request.denied' | 'host.refused' | 'login.failed';
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

interface Window {
  readonly first: Refusal;
  readonly timer: NodeJS.Timeout;
  recorded: number;
  more: number;
}

/*
 * The audit of those who were turned away, which none of them can flood.
 *
 * INVARIANTS
 * - The first refusals of a window are recorded before they are answered; those after them are counted, and their
 *   number is recorded at the window's end. So a peer makes that many records and one a window, for each reason.
 * - A stranger chooses neither name nor reason by which refusals are told apart: their address does, for so many
 *   addresses at a time; all others share one window.
 */
export class Refusals {
  readonly #deps: Deps;
  readonly #windows = new Map<string, Window>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Resolves when it is durable or counted; where the store cannot take it, the log has it. */
  async tell(refusal: Refusal): Promise<void> {
    const key = this.#keyOf(refusal);
    const window = this.#windows.get(key) ?? this.#begin(key, refusal);
    if (window.recorded >= this.#deps.mostRecords) {
      window.more++;
      return;
    }
    window.recorded++;
    await this.#record(refusal);
  }

  /** Records what is counted. */
  async close(): Promise<void> {
    await Promise.all([...this.#windows.keys()].map((key) => this.#end(key)));
  }

  #keyOf({ type, actor, clientAddress, reason }: Refusal): string {
    if (actor.certificate !== '') return JSON.stringify([type, actor.certificate, reason]);
    const strangers = [...this.#windows.values()].filter(({ first }) => first.actor.certificate === '');
    const own = JSON.stringify([type, clientAddress]);
    const isKnown = this.#windows.has(own);
    return isKnown || strangers.length < this.#deps.mostAddresses ? own : 'elsewhere';
  }

  #begin(key: string, first: Refusal): Window {
    const timer = setTimeout(() => void this.#end(key), this.#deps.windowMs);
    timer.unref();
    const window = { first, timer, recorded: 0, more: 0 };
    this.#windows.set(key, window);
    return window;
  }

  async #end(key: string): Promise<void> {
    const window = this.#windows.get(key);
    this.#windows.delete(key);
    if (window === undefined) return;
    clearTimeout(window.timer);
    const { first, more } = window;
    if (more === 0) return;
    const counted = { ...first, reason: `${more} more of these: ${first.reason}` };
    await this.#record({ ...counted, detail: { ...first.detail, more } });
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
