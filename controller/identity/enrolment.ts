import { randomInt } from 'node:crypto';
import type { Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import { checkHostName, checkLabelKey, checkLabelValue } from '../../common/names.ts';
import { record } from '../audit/audit.ts';
import type { Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { issueClientCertificate, type KeyPair } from './authority.ts';
import { useToken } from './tokens.ts';

const hostCertificateDays = 90;
const userCertificateDays = 365;

interface Deps {
  readonly store: Store;
  readonly authority: KeyPair;
  readonly clock: () => number;
}

interface Caller {
  readonly clientAddress: string;
}

/** Makes hosts and users of those who have a token. Each refusal is audited before it is answered. */
export class EnrolmentDesk {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  async join(
    request: {
      secret: string;
      name: string;
      labels: Readonly<Record<string, string>>;
      certificateRequest: Uint8Array;
    },
    caller: Caller,
  ): Promise<{ certificate: string; labels: Record<string, string> }> {
    const { store, authority, clock } = this.#deps;
    const name = checkHostName(request.name);
    for (const [key, value] of Object.entries(request.labels)) {
      checkLabelKey(key);
      checkLabelValue(value);
    }
    const issued = await issueClientCertificate(
      authority,
      request.certificateRequest,
      { kind: 'host', name },
      hostCertificateDays,
      clock(),
    );
    const join = async (transaction: Transaction<Schema>): Promise<Record<string, string>> => {
      const token = await useToken(transaction, request.secret, 'agent', clock());
      await refuseTakenHost(transaction, name);
      const labels = { ...request.labels, ...(JSON.parse(token.labels) as Record<string, string>) };
      await transaction
        .insertInto('hosts')
        .values({
          name,
          labels: JSON.stringify(labels),
          certificate: issued.fingerprint,
          certificate_not_after: issued.notAfterMs,
          joined_at: clock(),
          last_seen: null,
          agent_version: '',
          inventory: null,
        })
        .execute();
      const actor = { name, role: 'agent', certificate: issued.fingerprint };
      const detail = { token: token.id, labels };
      await record(transaction, clock(), { type: 'host.joined', actor, ...caller, host: name, detail });
      return labels;
    };
    const labels = await this.#audited(store.write(join), name, caller);
    return { certificate: issued.certificate, labels };
  }

  async login(
    request: { secret: string; certificateRequest: Uint8Array },
    caller: Caller,
  ): Promise<{ certificate: string; name: string; role: string }> {
    const { store, authority, clock } = this.#deps;
    const login = async (
      transaction: Transaction<Schema>,
    ): Promise<{ certificate: string; name: string; role: string }> => {
      const token = await useToken(transaction, request.secret, 'user', clock());
      const name = token.name === '' ? inventedName(token.role) : token.name;
      const issued = await issueClientCertificate(
        authority,
        request.certificateRequest,
        { kind: 'user', name },
        userCertificateDays,
        clock(),
      );
      await refuseTakenUser(transaction, name);
      await transaction
        .insertInto('users')
        .values({
          name,
          role: token.role,
          certificate: issued.fingerprint,
          certificate_not_after: issued.notAfterMs,
          created_at: clock(),
        })
        .execute();
      const actor = { name, role: token.role, certificate: issued.fingerprint };
      await record(transaction, clock(), {
        type: 'user.login',
        actor,
        ...caller,
        detail: { token: token.id },
      });
      return { certificate: issued.certificate, name, role: token.role };
    };
    return this.#audited(store.write(login), '', caller);
  }

  async #audited<Result>(attempt: Promise<Result>, name: string, caller: Caller): Promise<Result> {
    try {
      return await attempt;
    } catch (error) {
      const { code, message } = KomposeError.from(error);
      if (code === 'unauthenticated' || code === 'conflict') {
        const { store, clock } = this.#deps;
        const actor = { name, role: '', certificate: '' };
        await store.write((transaction) =>
          record(transaction, clock(), { type: 'login.failed', actor, ...caller, reason: message }),
        );
      }
      throw error;
    }
  }
}

async function refuseTakenHost(transaction: Transaction<Schema>, name: string): Promise<void> {
  const taken = await transaction
    .selectFrom('hosts')
    .select('name')
    .where('name', '=', name)
    .executeTakeFirst();
  if (taken === undefined) return;
  const message = `there is a host ${name} already: choose another --name, or first: kompose hosts remove ${name}`;
  throw new KomposeError('conflict', message);
}

async function refuseTakenUser(transaction: Transaction<Schema>, name: string): Promise<void> {
  const taken = await transaction
    .selectFrom('users')
    .select('name')
    .where('name', '=', name)
    .executeTakeFirst();
  if (taken !== undefined) throw new KomposeError('conflict', `there is a user ${name} already`);
}

function inventedName(role: string): string {
  const letters = Array.from({ length: 6 }, () => String.fromCharCode(97 + randomInt(26)));
  return `${role}-${letters.join('')}`;
}
