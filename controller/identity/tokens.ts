import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import { defaultTokenLifeMs, hashSecret } from '../../common/signing/token-secrets.ts';
import type { Schema, TokensTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { refuseUnknownRole } from './roles.ts';

export interface TokenRequest {
  /** `agent` or a user role. */
  readonly role: string;
  /** Of the user to be; empty picks one at login. */
  readonly name: string;
  /** Of an agent token: the host that may join again with it; empty for none. */
  readonly replaces: string;
  readonly labels: Readonly<Record<string, string>>;
  /** 0 means the role's default. */
  readonly ttlMs: number;
  /** 0 means one. */
  readonly uses: number;
  readonly createdBy: string;
  /** A token's secret is known to its holder only; here is its hash, which is compared in constant time. */
  readonly secretHash: string;
  /** Of a user's token that a user made; else empty. */
  readonly key: string;
}

/** Stores a new token; gives its id. Throws `usage` for an unknown role, `conflict` for a taken name. */
export async function createToken(
  transaction: Transaction<Schema>,
  request: TokenRequest,
  nowMs: number,
): Promise<string> {
  const { role, name, replaces, key } = request;
  if (role !== 'agent') await refuseUnknownRole(transaction, role);
  if (replaces !== '' && role !== 'agent') {
    throw new KomposeError('usage', '--replace names a host, so it goes with --role agent');
  }
  if (name !== '') await refuseTakenName(transaction, name);
  const id = randomBytes(5).toString('hex');
  const ttlMs = request.ttlMs || defaultTokenLifeMs(role);
  const row: TokensTable = {
    id,
    secret_hash: request.secretHash,
    role,
    name,
    replaces,
    key,
    labels: JSON.stringify(request.labels),
    uses_left: request.uses || 1,
    expires_at: nowMs + ttlMs,
    created_by: request.createdBy,
    created_at: nowMs,
  };
  await transaction.insertInto('tokens').values(row).execute();
  return id;
}

async function refuseTakenName(transaction: Transaction<Schema>, name: string): Promise<void> {
  const taken = await transaction
    .selectFrom('users')
    .select('name')
    .where('name', '=', name)
    .executeTakeFirst();
  if (taken !== undefined) throw new KomposeError('conflict', `there is a user ${name} already`);
}

/**
 * Uses up one use of a token. Throws `unauthenticated`, with one answer for unknown, used, expired and revoked ones
 * and for those of the other kind.
 */
export async function useToken(
  transaction: Transaction<Schema>,
  secret: string,
  kind: 'agent' | 'user',
  nowMs: number,
): Promise<TokensTable> {
  const open = await openTokens(transaction, nowMs).execute();
  const hash = hashSecret(secret);
  const token = open.find((each) => isSame(each.secret_hash, hash));
  const isKind = (token?.role === 'agent') === (kind === 'agent');
  if (token === undefined || !isKind) {
    const way = kind === 'agent' ? '--role agent' : '--role ROLE';
    const message = `this token is not valid (any more): ask an admin for a new one (kompose tokens create ${way})`;
    throw new KomposeError('unauthenticated', message);
  }
  await transaction
    .updateTable('tokens')
    .set({ uses_left: token.uses_left - 1 })
    .where('id', '=', token.id)
    .execute();
  return token;
}

/** Those that can still be used. */
export function listTokens(store: Store, nowMs: number): Promise<TokensTable[]> {
  return openTokens(store.db, nowMs).orderBy('created_at').execute();
}

function openTokens(database: Kysely<Schema>, nowMs: number) {
  return database.selectFrom('tokens').selectAll().where('uses_left', '>', 0).where('expires_at', '>', nowMs);
}

/** In a time that does not depend on where they differ. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Gives the token's public key. Throws `not-found`. */
export async function revokeToken(transaction: Transaction<Schema>, id: string): Promise<string> {
  const revoked = await transaction
    .updateTable('tokens')
    .set({ uses_left: 0 })
    .where('id', '=', id)
    .where('uses_left', '>', 0)
    .returning('key')
    .executeTakeFirst();
  if (revoked !== undefined) return revoked.key;
  throw new KomposeError('not-found', `there is no open token ${id}: kompose tokens ls`);
}
