import type { Transaction } from 'kysely';
import { KomposeError, type ErrorCode } from '../../common/errors.ts';
import { checkHostName, checkLabelKey, checkLabelValue } from '../../common/names.ts';
import { parseBody, type RosterEntry } from '../../common/roster/entry.ts';
import { quoted } from '../../common/quoted.ts';
import { record } from '../audit/audit.ts';
import type { Refusals } from '../audit/refusals.ts';
import type { Schema, TokensTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Authorities } from './authorities.ts';
import { issueClientCertificate, type Issued } from './authority.ts';
import { certificatesOf, findHost, findUser, trustText, type Peer } from './directory.ts';
import { checkRoster, type RosterBook, type RosterBringer } from './roster-book.ts';
import { useToken } from './tokens.ts';

interface Deps {
  readonly store: Store;
  readonly authorities: Authorities;
  readonly clock: () => number;
  /** How long certificates are valid. */
  readonly hostCertificateMs: number;
  readonly userCertificateMs: number;
  readonly refusals: Refusals;
  readonly roster: RosterBook;
}

interface Caller {
  readonly clientAddress: string;
}

/** A certificate, and whom its holder is to trust from now on; PEM. */
interface Trusting {
  readonly certificate: string;
  readonly caCertificates: string;
}

/** What a token's holder, or who pretends to be one, is refused with; the rest is our own trouble. */
const refusing: ReadonlySet<ErrorCode> = new Set(['unauthenticated', 'conflict', 'denied', 'usage']);

/** Makes hosts and users of those who have a token. Each refusal is audited before it is answered. */
export class EnrolmentDesk {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** `replaced` are the certificates of the host that was there before. */
  async join(
    request: {
      secret: string;
      name: string;
      labels: Readonly<Record<string, string>>;
      certificateRequest: Uint8Array;
    },
    caller: Caller,
  ): Promise<Trusting & { labels: Record<string, string>; replaced: readonly string[] }> {
    const { store, authorities, clock, hostCertificateMs } = this.#deps;
    const name = checkHostName(request.name);
    for (const [key, value] of Object.entries(request.labels)) {
      checkLabelKey(key);
      checkLabelValue(value);
    }
    const issued = await issueClientCertificate(
      authorities.signing,
      request.certificateRequest,
      { kind: 'host', name },
      hostCertificateMs,
      clock(),
    );
    type Joined = { labels: Record<string, string>; replaced: readonly string[] };
    const join = async (transaction: Transaction<Schema>): Promise<Joined> => {
      const token = await useToken(transaction, request.secret, 'agent', clock());
      const labels = { ...request.labels, ...(JSON.parse(token.labels) as Record<string, string>) };
      const replaced = await replaceableHost(transaction, name, token);
      const { fingerprint: certificate, notAfterMs: certificate_not_after } = issued;
      const trusts = trustText(authorities.ids);
      const row = {
        labels: JSON.stringify(labels),
        certificate,
        certificate_not_after,
        trusts,
        joined_at: clock(),
      };
      const isAgain = replaced.length > 0;
      if (isAgain) {
        await transaction
          .updateTable('hosts')
          .set({ ...row, renewed_certificate: null, sealing_key: null })
          .where('name', '=', name)
          .execute();
      } else {
        await transaction
          .insertInto('hosts')
          .values({ name, ...row, last_seen: null, agent_version: '', inventory: null })
          .execute();
      }
      const actor = { name, role: 'agent', certificate };
      const detail = { token: token.id, labels, ...(isAgain ? { replaced: true } : {}) };
      await record(transaction, clock(), { type: 'host.joined', actor, ...caller, host: name, detail });
      return { labels, replaced };
    };
    return { ...(await this.#audited(store.write(join), name, caller)), ...this.#trusting(issued) };
  }

  async login(
    request: { secret: string; name: string; certificateRequest: Uint8Array; rosterEntry: RosterEntry },
    caller: Caller,
  ): Promise<Trusting & { name: string; role: string }> {
    const { store, authorities, clock, userCertificateMs, roster } = this.#deps;
    const { name } = request;
    const login = async (
      transaction: Transaction<Schema>,
    ): Promise<Trusting & { name: string; role: string }> => {
      const token = await useToken(transaction, request.secret, 'user', clock());
      checkChosenName(name, token);
      const issued = await issueClientCertificate(
        authorities.signing,
        request.certificateRequest,
        { kind: 'user', name },
        userCertificateMs,
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
          trusts: trustText(authorities.ids),
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
      await this.#enrol(transaction, token, request, { actor, ...caller });
      return { ...this.#trusting(issued), name, role: token.role };
    };
    const answer = await this.#audited(store.write(login), '', caller);
    await roster.refresh();
    return answer;
  }

  /**
   * Another certificate for somebody who has one. The one that they call with becomes the older of the two that are
   * valid. Throws what `findHost` and `findUser` throw.
   */
  async renew(peer: Peer, certificateRequest: Uint8Array, caller: Caller): Promise<Trusting> {
    const { store, authorities, clock, hostCertificateMs, userCertificateMs } = this.#deps;
    const isHost = peer.kind === 'host';
    const validMs = isHost ? hostCertificateMs : userCertificateMs;
    const actor = await (isHost ? findHost(store, peer) : findUser(store, peer));
    const { signing } = authorities;
    const issued = await issueClientCertificate(signing, certificateRequest, peer, validMs, clock());
    await store.write(async (transaction) => {
      await transaction
        .updateTable(isHost ? 'hosts' : 'users')
        .set({
          certificate: peer.fingerprint,
          renewed_certificate: issued.fingerprint,
          certificate_not_after: issued.notAfterMs,
          // A host tells once it has kept them, with its next link; a user may not come by for long.
          ...(isHost ? {} : { trusts: trustText(authorities.ids) }),
        })
        .where('name', '=', peer.name)
        .where((row) =>
          row.or([
            row('certificate', '=', peer.fingerprint),
            row('renewed_certificate', '=', peer.fingerprint),
          ]),
        )
        .execute();
      const detail = { certificate: issued.fingerprint, until: new Date(issued.notAfterMs).toISOString() };
      const entry = { type: 'certificate.renewed', actor, ...caller, detail } as const;
      await record(transaction, clock(), isHost ? { ...entry, host: peer.name } : entry);
    });
    return this.#trusting(issued);
  }

  #trusting({ certificate }: Issued): Trusting {
    return { certificate, caCertificates: this.#deps.authorities.caCertificates };
  }

  /** Only who logs in with a token of the controller's own begins a roster. */
  async #enrol(
    transaction: Transaction<Schema>,
    { key }: TokensTable,
    { name, rosterEntry }: { readonly name: string; readonly rosterEntry: RosterEntry },
    bringer: RosterBringer,
  ): Promise<void> {
    const { roster } = this.#deps;
    const body = parseBody(rosterEntry.body);
    const isRoot = body?.type === 'root' && key === '';
    const isJoin = body?.type === 'join' && body.invite === key;
    checkRoster((isRoot || isJoin) && body.name === name, 'make this user one of its own');
    if (key === '') await roster.begin(transaction, rosterEntry, bringer);
    else await roster.append(transaction, [rosterEntry], bringer);
  }

  async #audited<Result>(attempt: Promise<Result>, name: string, caller: Caller): Promise<Result> {
    try {
      return await attempt;
    } catch (error) {
      const { code, message } = KomposeError.from(error);
      if (refusing.has(code)) {
        const actor = { name, role: '', certificate: '' };
        await this.#deps.refusals.tell({ type: 'login.failed', actor, ...caller, reason: message });
      }
      throw error;
    }
  }
}

/** The certificates of the host of that name, if there is one; `conflict` if this token may not take its place. */
async function replaceableHost(
  transaction: Transaction<Schema>,
  name: string,
  { replaces }: TokensTable,
): Promise<string[]> {
  if (replaces !== '' && replaces !== name) {
    const message = `this token is for the host ${replaces} to join again: give --name ${replaces}`;
    throw new KomposeError('conflict', message);
  }
  const taken = await transaction.selectFrom('hosts').selectAll().where('name', '=', name).executeTakeFirst();
  if (taken === undefined) return [];
  if (replaces === name) return certificatesOf(taken);
  const way = `kompose tokens create --role agent --replace ${name}`;
  const message = `there is a host ${name} already: choose another --name, or take its place with a token of: ${way}`;
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

/** The token's, or the role and six letters. Throws `usage`. */
function checkChosenName(name: string, token: Pick<TokensTable, 'name' | 'role'>): void {
  const isChoice = name.length === token.role.length + 7 && name.startsWith(`${token.role}-`);
  const isGood = token.name === '' ? isChoice && /-[a-z]{6}$/.test(name) : name === token.name;
  if (!isGood) throw new KomposeError('usage', `this token is for another name than ${quoted(name)}`);
}
