import type { KeyObject } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Logger } from 'pino';
import type { ChainEnd } from '../../common/audit/chain.ts';
import { AuditKeys, type KeyChange } from '../../common/audit/key-change.ts';
import {
  isMark,
  keyFingerprint,
  signMark,
  type MarkKind,
  type SignedMark,
} from '../../common/audit/signed-head.ts';
import { isOfType } from '../store/record-type.ts';
import type { Schema } from '../store/schema.ts';
import type { Store, Write } from '../store/store.ts';
import { record, type Actor } from './audit.ts';
import { publicAuditKey } from './audit-key.ts';
import { chainEnd, hashAt, loadKeyChanges, loadMark, saveMark, type Db } from './chain-rows.ts';
import { RecordWindows } from './record-windows.ts';

interface NotaryDeps {
  readonly store: Store;
  /** Signs, if the key was never changed. */
  readonly key: KeyObject;
  /** The key with this public half, to which the audit's was changed. */
  readonly findKey: (publicKey: string) => Promise<KeyObject>;
  readonly clock: () => number;
  readonly log: Logger;
  /** Of the heads of one witness so many are recorded in that time, and all others as a number. */
  readonly windowMs: number;
  readonly mostRecords: number;
}

/** Who presents a head that was seen. */
export interface Witness {
  readonly actor: Actor;
  readonly clientAddress?: string;
  readonly host?: string;
}

/** A head that the chain does not contain, as somebody has seen it. */
interface Contradiction {
  readonly head: SignedMark;
  readonly witness: Witness;
}

const signEveryMs = 1000;
const mostLooked = 1_000;
const self: Witness = { actor: { name: 'controller', role: 'controller', certificate: '' } };

/*
 * Signs the audit's head each second that it moved, and holds the chain against the heads that others have seen.
 *
 * INVARIANTS
 * - A head is given out only once all that it stands over is on the disk.
 * - Before a new head takes the place of the last one, the chain is seen to contain that one still; if it does not,
 *   that is a record in the chain before the new head stands over it.
 * - A head is of the key that the last change of the chain has brought, which is looked up in the transaction that it
 *   stands over: another process changes the key. Of an earlier one counts what it signed before.
 * - A contradiction is recorded once a head, whoever presents it, and however often; and nobody floods the audit with
 *   heads of their own making: see RecordWindows.
 */
export class AuditNotary {
  readonly #deps: NotaryDeps;
  #key: KeyObject;
  #keys: AuditKeys;
  readonly #presented: RecordWindows<Contradiction>;
  #newest: SignedMark | undefined;
  /** Heads that were presented since the last signature, and whether the chain lacks them: a fleet comes back with the same few. */
  readonly #looked = new Map<string, Promise<boolean>>();
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;

  private constructor(deps: NotaryDeps) {
    this.#deps = deps;
    this.#key = deps.key;
    this.#keys = keysOf([], publicAuditKey(deps.key));
    const { windowMs, mostRecords, store } = deps;
    this.#presented = new RecordWindows({
      windowMs,
      mostRecords,
      record: ({ head, witness }) =>
        store.write((transaction) => this.#contradict(transaction, head, witness)),
      recordMore: ({ witness }, more) => this.#countMore(witness, more),
    });
  }

  /**
   * Holds the chain against the newest head that an earlier process signed, and signs from now on. Throws `failed` where the
   * key that should is not there.
   */
  static async open(deps: NotaryDeps): Promise<AuditNotary> {
    const notary = new AuditNotary(deps);
    await notary.#follow(deps.store.db);
    notary.#newest = await loadMark(deps.store.db, 'head');
    await notary.#signAnyway();
    notary.#timer = setInterval(() => void notary.#signAnyway(), signEveryMs).unref();
    return notary;
  }

  /** Of the key that signs, as users know it. */
  get publicKey(): string {
    return publicAuditKey(this.#key);
  }

  /** How it came to sign, oldest first. */
  get keyChanges(): readonly KeyChange[] {
    return this.#keys.changes;
  }

  /** At most a second old; undefined only while nothing can be written. */
  get newest(): SignedMark | undefined {
    return this.#newest;
  }

  /**
   * Records what `write` does, and signs the head over it in the same transaction: they wait for the disk once. Where that
   * fails nothing of it is there, and it is recorded alone, by a second call of `write`: no head comes of it then. Throws
   * what Store's `write` throws.
   */
  async seal(write: Write<void>): Promise<SignedMark | undefined> {
    const { store } = this.#deps;
    try {
      const head = await store.write(async (transaction) => {
        await write(transaction);
        return this.#signIn(transaction);
      });
      this.#newest = head;
      return head;
    } catch (error) {
      await store.write(write);
      this.#complain(error);
      return undefined;
    }
  }

  /** Over all that is recorded now. */
  async head(): Promise<SignedMark> {
    const end = await chainEnd(this.#deps.store.db);
    const newest = this.#newest;
    return newest?.seq === end.seq && newest.hash === end.hash ? newest : this.#sign();
  }

  /**
   * Signs something else than the head, such as a part of the chain, with the time, by the key that signs where `db`
   * stands.
   */
  async mark(db: Db, kind: MarkKind, end: ChainEnd, count: number): Promise<SignedMark> {
    await this.#follow(db);
    return this.#mark(kind, end, count);
  }

  #mark(kind: MarkKind, end: ChainEnd, count: number): SignedMark {
    const time = new Date(this.#deps.clock()).toISOString();
    return signMark(kind, { seq: end.seq, hash: end.hash, time, count }, this.#key);
  }

  /**
   * A head that somebody has seen: one that the chain does not contain is recorded as contradicted. Never throws: what
   * the witness came for goes on.
   */
  async present(head: SignedMark, witness: Witness): Promise<void> {
    const { store, log } = this.#deps;
    if (head.hash === this.#newest?.hash && head.signature === this.#newest.signature) return;
    try {
      if (!isMark(head) || !(await this.#isLacking(head))) return;
      if (await isRecorded(store.db, head)) return;
      await this.#presented.tell(witness.actor.certificate, { head, witness });
    } catch (error) {
      log.error({ err: error, head }, 'a head of the audit that was seen cannot be checked');
    }
  }

  /** Numbers of the newest records of contradictions, at most ten. */
  async contradictions(): Promise<number[]> {
    const rows = await contradictionRows(this.#deps.store.db).select('seq').limit(10).execute();
    return rows.map(({ seq }) => seq);
  }

  /** Signs for the last time. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#presented.close();
    await this.#signAnyway();
  }

  /** A store that cannot be written is told of once, and by those who need it. */
  async #signAnyway(): Promise<void> {
    this.#looked.clear();
    try {
      await this.head();
      this.#isFailing = false;
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    if (!this.#isFailing) this.#deps.log.warn({ err: error }, 'the head of the audit cannot be signed');
    this.#isFailing = true;
  }

  async #sign(): Promise<SignedMark> {
    const head = await this.#deps.store.write((transaction) => this.#signIn(transaction));
    this.#newest = head;
    return head;
  }

  async #signIn(transaction: Transaction<Schema>): Promise<SignedMark> {
    await this.#follow(transaction);
    if (this.#newest !== undefined) await this.#contradict(transaction, this.#newest, self);
    const end = await chainEnd(transaction);
    const stub = await loadMark(transaction, 'stub');
    const signed = this.#mark('head', end, end.seq - (stub?.seq ?? 0));
    await saveMark(transaction, 'head', signed);
    return signed;
  }

  /** Takes up the key that the audit's was changed to. */
  async #follow(db: Db): Promise<void> {
    const changes = await loadKeyChanges(db);
    const { to } = changes.at(-1) ?? {};
    if (to === undefined || to === this.#keys.changes.at(-1)?.to) return;
    this.#key = await this.#deps.findKey(to);
    this.#keys = keysOf(changes, to);
  }

  /** Records that the chain lacks this head, if it does and that is not recorded yet. */
  async #contradict(transaction: Transaction<Schema>, head: SignedMark, witness: Witness): Promise<void> {
    const firstBad = await this.#firstBad(transaction, head);
    if (firstBad === undefined || (await isRecorded(transaction, head))) return;
    const isOurs = this.#keys.hasSigned('head', head);
    const reason = isOurs
      ? `the audit was changed: it lacks the head at ${head.seq} that was signed ${head.time}`
      : `a head at ${head.seq} was presented that this controller's key did not sign`;
    this.#deps.log.error({ head, firstBad, witness: witness.actor.name }, `AUDIT CONTRADICTED: ${reason}`);
    const entry = { type: 'audit.contradicted', ...witness, reason, head, firstBad } as const;
    await record(transaction, this.#deps.clock(), entry);
  }

  async #countMore(witness: Witness, more: number): Promise<void> {
    const { store, clock, log } = this.#deps;
    const reason = `${more} more heads were presented that the audit lacks`;
    log.error({ witness: witness.actor.name, more }, `AUDIT CONTRADICTED: ${reason}`);
    const entry = { type: 'audit.contradicted', ...witness, reason, detail: { more } } as const;
    await store
      .write((transaction) => record(transaction, clock(), entry))
      .catch((error: unknown) => log.error({ err: error }, 'a contradiction cannot be recorded'));
  }

  #isLacking(head: SignedMark): Promise<boolean> {
    const told = JSON.stringify([head.seq, head.hash, head.time, head.count, head.key, head.signature]);
    const looked = this.#looked.get(told);
    if (looked !== undefined) return looked;
    const isLacking = this.#firstBad(this.#deps.store.db, head).then((seq) => seq !== undefined);
    if (this.#looked.size < mostLooked) this.#looked.set(told, isLacking);
    return isLacking;
  }

  /** Where the chain parts from what a head says, at the latest; undefined if it does not, or cannot be known. */
  async #firstBad(db: Store['db'], head: SignedMark): Promise<number | undefined> {
    if (!this.#keys.hasSigned('head', head)) return head.seq;
    const end = await chainEnd(db);
    if (head.seq > end.seq) return end.seq + 1;
    const hash = (await hashAt(db, head.seq)) ?? (await this.#prunedHash(db, head));
    return hash === head.hash ? undefined : head.seq;
  }

  /** Of a record that was removed on purpose: only the last one's is known, the others are taken on trust. */
  async #prunedHash(db: Store['db'], head: SignedMark): Promise<string | undefined> {
    const stub = await loadMark(db, 'stub');
    if (stub === undefined || head.seq > stub.seq || !this.#keys.hasSigned('stub', stub)) return undefined;
    return head.seq === stub.seq ? stub.hash : head.hash;
  }
}

function keysOf(changes: readonly KeyChange[], publicKey: string): AuditKeys {
  const keys = AuditKeys.follow(changes, keyFingerprint(publicKey));
  if (keys === undefined) throw new Error('the last change brings the key that signs');
  return keys;
}

function contradictionRows(db: Store['db']) {
  return db.selectFrom('audit').where(isOfType('audit.contradicted')).orderBy('seq', 'desc');
}

async function isRecorded(db: Store['db'], head: SignedMark): Promise<boolean> {
  const rows = await contradictionRows(db).select('record').execute();
  return rows.some(({ record: text }) => {
    const { head: told } = JSON.parse(text) as { head?: SignedMark };
    return told?.seq === head.seq && told.hash === head.hash;
  });
}
