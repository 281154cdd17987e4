import { KomposeError } from '../../common/errors.ts';
import type { Actor } from '../audit/audit.ts';
import type { HostsTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** CAs of a fleet at a time, and then some. */
const mostTrusted = 4;

/** Who a verified certificate says is calling. */
export interface Peer {
  readonly kind: 'host' | 'user';
  readonly name: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
}

/**
 * The user that a certificate stands for now. Throws `unauthenticated` if the user was removed or has another
 * certificate since: the one in the store and the one that it was renewed with are the only valid ones.
 */
export async function findUser(store: Store, { name, fingerprint }: Peer): Promise<Actor> {
  const user = await store.db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
  if (user === undefined || !certificatesOf(user).includes(fingerprint)) {
    throw new KomposeError(
      'unauthenticated',
      `the login of ${name} was removed or replaced: ask an admin for a token`,
    );
  }
  return { name, role: user.role, certificate: fingerprint };
}

/** A user's role; empty for one who was removed. */
export async function findRole(store: Store, name: string): Promise<string> {
  const user = await store.db.selectFrom('users').select('role').where('name', '=', name).executeTakeFirst();
  return user?.role ?? '';
}

/** Likewise for a host; throws `denied`. */
export async function findHost(store: Store, { name, fingerprint }: Peer): Promise<Actor> {
  const host = await store.db.selectFrom('hosts').selectAll().where('name', '=', name).executeTakeFirst();
  if (host === undefined) throw new KomposeError('denied', `the host ${name} was removed from the fleet`);
  if (!certificatesOf(host).includes(fingerprint)) {
    throw new KomposeError('denied', `the host ${name} has joined again with another certificate`);
  }
  return { name, role: 'agent', certificate: fingerprint };
}

/** What a user says that they trust. A store that cannot write holds up nothing: it is told with each call. */
export async function noteTrust(store: Store, name: string, ids: readonly string[]): Promise<void> {
  const trusts = trustText(ids);
  const user = await store.db
    .selectFrom('users')
    .select('trusts')
    .where('name', '=', name)
    .executeTakeFirst();
  if (user?.trusts === trusts) return;
  await store
    .write((transaction) =>
      transaction.updateTable('users').set({ trusts }).where('name', '=', name).execute(),
    )
    .catch(() => undefined);
}

/** As the store keeps it; what is no id is left out. */
export function trustText(ids: readonly string[]): string {
  return ids
    .filter((id) => /^[0-9a-f]{32}$/.test(id))
    .slice(0, mostTrusted)
    .join(' ');
}

/** Throws `not-found`. */
export async function findHostRow(store: Store, name: string): Promise<HostsTable> {
  const host = await store.db.selectFrom('hosts').selectAll().where('name', '=', name).executeTakeFirst();
  if (host === undefined) throw new KomposeError('not-found', `there is no host ${name}: kompose hosts`);
  return host;
}

/** The certificates that are good for a host or user. */
export function certificatesOf({
  certificate,
  renewed_certificate: renewed,
}: Pick<HostsTable, 'certificate' | 'renewed_certificate'>): string[] {
  return renewed === null ? [certificate] : [certificate, renewed];
}
