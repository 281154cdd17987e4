import { KomposeError } from '../../common/errors.ts';

/** The open streams of each user, so that they end with the user's removal. */
export class UserWatches {
  readonly #open = new Map<string, Set<AbortController>>();

  /** A stream of this user's; its signal fires with `unauthenticated` when the user is removed. Dispose of it. */
  open(user: string): Disposable & { readonly signal: AbortSignal } {
    const controller = new AbortController();
    const streams = this.#open.get(user) ?? new Set();
    this.#open.set(user, streams.add(controller));
    const close = (): void => {
      streams.delete(controller);
      if (streams.size === 0 && this.#open.get(user) === streams) this.#open.delete(user);
    };
    return { signal: controller.signal, [Symbol.dispose]: close };
  }

  end(user: string): void {
    const reason = new KomposeError('unauthenticated', `the user ${user} was removed`);
    for (const controller of this.#open.get(user) ?? []) controller.abort(reason);
  }
}
