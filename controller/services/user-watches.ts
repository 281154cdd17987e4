import { KomposeError } from '../../common/errors.ts';

interface Watch {
  readonly controller: AbortController;
  /** Whether somebody of this role may still watch it. */
  readonly isAllowed: (role: string) => boolean;
  role: string;
}

/** The open streams of each user, so that they end with the user's removal, or with the right to them. */
export class UserWatches {
  readonly #open = new Map<string, Set<Watch>>();

  /** A stream of this user's; its signal fires when the user, or their right to it, is taken away. Dispose of it. */
  open(
    user: { readonly name: string; readonly role: string },
    isAllowed: (role: string) => boolean,
  ): Disposable & { readonly signal: AbortSignal } {
    const { name, role } = user;
    const watch = { controller: new AbortController(), isAllowed, role };
    const streams = this.#open.get(name) ?? new Set();
    this.#open.set(name, streams.add(watch));
    const close = (): void => {
      streams.delete(watch);
      if (streams.size === 0 && this.#open.get(name) === streams) this.#open.delete(name);
    };
    return { signal: watch.controller.signal, [Symbol.dispose]: close };
  }

  /** The user is removed. */
  end(user: string): void {
    const reason = new KomposeError('unauthenticated', `the user ${user} was removed`);
    for (const { controller } of this.#open.get(user) ?? []) controller.abort(reason);
  }

  /** The user has another role. */
  changeRole(user: string, role: string): void {
    for (const watch of this.#open.get(user) ?? []) watch.role = role;
    this.recheck();
  }

  /** What a role may see has changed. */
  recheck(): void {
    for (const { controller, isAllowed, role } of [...this.#open.values()].flatMap((streams) => [
      ...streams,
    ])) {
      if (isAllowed(role)) continue;
      controller.abort(new KomposeError('denied', `your role, ${role}, may not watch this (any more)`));
    }
  }
}
