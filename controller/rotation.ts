import { X509Certificate } from 'node:crypto';
import { userInfo } from 'node:os';
import { KomposeError } from '../common/errors.ts';
import { trustOf } from '../proto/trust.ts';
import { record, type AuditType } from './audit/audit.ts';
import { dropRetiring, loadState, saveRotation } from './config.ts';
import { Authorities } from './identity/authorities.ts';
import { createAuthority, type KeyPair } from './identity/authority.ts';
import { databasePath } from './init.ts';
import { Store } from './store/store.ts';
import { requireOwner, writeBeside } from './write-beside.ts';

/*
 * A change of the fleet's CA, without a day on which all must follow. From `rotateAuthority` on a new CA signs, and both
 * are trusted: the controller has a certificate of each for whoever asks, takes the clients of both, and has agents and
 * users renew their certificates, which brings them the new CA to trust. `dropAuthority` ends the old one.
 */

export interface AuthorityView {
  readonly id: string;
  /** `signs`, or `retiring`: trusted still. */
  readonly state: 'signs' | 'retiring';
  readonly untilMs: number;
}

/** A host or user who does not trust what they should. */
export interface Laggard {
  readonly kind: 'host' | 'user';
  readonly name: string;
  /** `without-new`: cannot know the controller by the new CA. `with-dropped`: trusts one that is no more. */
  readonly trust: 'without-new' | 'with-dropped';
  /** Of a host: when its link last began or ended. */
  readonly lastSeenMs: number | undefined;
}

export interface TrustView {
  readonly authorities: readonly AuthorityView[];
  readonly laggards: readonly Laggard[];
}

/** The CAs, and who is behind. */
export async function viewTrust(folder: string): Promise<TrustView> {
  const state = await loadState(folder);
  const { authority, retiring } = state;
  const ids = new Authorities(state).ids;
  return {
    authorities: [...(retiring === undefined ? [] : [view(retiring, 'retiring')]), view(authority, 'signs')],
    laggards: await findLaggards(folder, ids),
  };
}

function view({ certificate }: KeyPair, state: AuthorityView['state']): AuthorityView {
  return { id: idOf(certificate), state, untilMs: new X509Certificate(certificate).validToDate.getTime() };
}

function idOf(certificate: string): string {
  return trustOf(certificate)[0] ?? '';
}

async function findLaggards(folder: string, ids: readonly string[]): Promise<Laggard[]> {
  const store = await Store.open(databasePath(folder));
  try {
    const hosts = await store.db
      .selectFrom('hosts')
      .select(['name', 'trusts', 'last_seen'])
      .orderBy('name')
      .execute();
    const users = await store.db.selectFrom('users').select(['name', 'trusts']).orderBy('name').execute();
    const all = [
      ...hosts.map(({ last_seen: seen, ...row }) => ({
        ...row,
        kind: 'host' as const,
        seen: seen ?? undefined,
      })),
      ...users.map((row) => ({ ...row, kind: 'user' as const, seen: undefined })),
    ];
    return all.flatMap(({ kind, name, trusts, seen: lastSeenMs }) => {
      const trust = lag(trusts.split(' '), ids);
      return trust === undefined ? [] : [{ kind, name, trust, lastSeenMs }];
    });
  } finally {
    await store.close();
  }
}

/** How somebody is behind who trusts these; undefined if they are not. Pure; the last of `ids` signs. */
function lag(trusts: readonly string[], ids: readonly string[]): Laggard['trust'] | undefined {
  if (!trusts.includes(ids.at(-1) ?? '')) return 'without-new';
  return trusts.every((id) => ids.includes(id)) ? undefined : 'with-dropped';
}

/** Makes a new CA; gives its id. Throws `conflict` while one is on its way, `denied` for a foreigner. */
export async function rotateAuthority(folder: string): Promise<string> {
  await requireOwner(folder);
  const { authority, retiring } = await loadState(folder);
  if (retiring !== undefined) {
    const message = `the CA is being rotated already: see kompose controller ca, then kompose controller ca finish`;
    throw new KomposeError('conflict', message);
  }
  const next = await createAuthority(Date.now());
  await tell(folder, 'controller.ca-rotated', {
    from: idOf(authority.certificate),
    to: idOf(next.certificate),
  });
  await saveRotation(folder, authority, next);
  return idOf(next.certificate);
}

/**
 * Ends the trust in the CA that is being retired; gives its id and who is behind. Throws `conflict` where somebody would
 * be shut out, unless that is wanted, and where none is being retired.
 */
export async function dropAuthority(
  folder: string,
  shutOut: boolean,
): Promise<{ id: string; shutOut: readonly Laggard[] }> {
  await requireOwner(folder);
  const { authority, retiring } = await loadState(folder);
  if (retiring === undefined) {
    throw new KomposeError('conflict', 'the CA is not being rotated: kompose controller ca rotate');
  }
  const id = idOf(retiring.certificate);
  const behind = (await findLaggards(folder, trustOf(retiring.certificate + authority.certificate))).filter(
    ({ trust }) => trust === 'without-new',
  );
  if (behind.length > 0 && !shutOut) throw refusal(behind);
  const names = behind.map(({ kind, name }) => `${kind} ${name}`);
  await tell(folder, 'controller.ca-dropped', { ca: id, shutOut: names });
  await dropRetiring(folder);
  return { id, shutOut: behind };
}

function refusal(behind: readonly Laggard[]): KomposeError {
  const names = behind.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  const message =
    `${names} would be shut out: wait until they were online (kompose controller ca tells), ` +
    'or go on without them: kompose controller ca finish --force';
  return new KomposeError('conflict', message);
}

async function tell(
  folder: string,
  type: AuditType & `controller.ca-${string}`,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  const actor = { name: 'controller', role: 'controller', certificate: '' };
  const by = userInfo().username;
  const entry = { type, actor, detail: { ...detail, by } };
  await writeBeside(folder, (transaction) => record(transaction, Date.now(), entry));
}
