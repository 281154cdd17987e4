import { isDeepStrictEqual } from 'node:util';
import { KomposeError } from '../../common/errors.ts';
import type { StackSummary } from '../../common/inventory.ts';
import { certificatesOf, type Peer } from '../identity/directory.ts';
import type { HostsTable } from '../store/schema.ts';
import { runHot } from '../store/hot-statement.ts';
import type { SqlValue } from '../store/later-rows.ts';
import type { Store } from '../store/store.ts';
import type { HostSession } from './host-session.ts';

/** A host as the fleet knows it. */
export interface HostRecord {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly joinedMs: number;
  readonly certificateNotAfterMs: number;
  /** The fingerprints of those that are good for it. */
  readonly certificates: readonly string[];
  readonly agentVersion: string;
  readonly lastSeenMs: number | undefined;
  readonly clockSkewMs: number;
  /** As last told; undefined if the host never told. */
  readonly stacks: readonly StackSummary[] | undefined;
  /** What is sealed to it; undefined if it never told. */
  readonly sealingKey: Uint8Array | undefined;
  /** Its live link, if it is online. */
  readonly session: HostSession | undefined;
}

/** Which of two links is the later one. */
type LinkAge = Pick<HostSession, 'instanceId' | 'instanceStartedMs' | 'linkNumber'>;

export interface FleetListener {
  /** A host is online; `openTasks` are those it accepted and has not fully reported. */
  hostOnline(session: HostSession, openTasks: ReadonlySet<string>): void;
  hostOffline(host: string): void;
}

/** How long agents have to end their links when the controller stops. */
const dismissalMs = 2_000;
/** A controller that is started again at once is there by then. */
const leastReturnMs = 500;
const spreadMsAHost = 10;
/** Of those whose link is lost: half of what their handshakes take, so that whoever serves them is never idle. */
const lostMsAHost = 1;
const longestSpreadMs = 15_000;

/*
 * All hosts that joined, with their stacks and live links; the store keeps what must outlive this process.
 *
 * INVARIANTS
 * - At most one session a host. A later link of the same agent ends the earlier one; an earlier is refused, also once the
 *   later has gone: what it says of its tasks is out of date.
 * - A host is in here exactly as long as it is in the store.
 */
export class Fleet {
  readonly #store: Store;
  readonly #clock: () => number;
  readonly #hosts = new Map<string, HostRecord>();
  /** Of each host, the latest link that there was. */
  readonly #latest = new Map<string, LinkAge>();
  /** Hosts whose stacks the store could not take. */
  readonly #unkept = new Set<string>();
  #listener: FleetListener | undefined;

  private constructor(store: Store, clock: () => number) {
    this.#store = store;
    this.#clock = clock;
  }

  static async open(store: Store, clock: () => number): Promise<Fleet> {
    const fleet = new Fleet(store, clock);
    for (const row of await store.db.selectFrom('hosts').selectAll().execute()) fleet.add(row);
    return fleet;
  }

  listen(listener: FleetListener): void {
    this.#listener = listener;
  }

  /** Within so long a host whose link was lost is to try again. */
  get returnWithinMs(): number {
    return Math.min(longestSpreadMs, lostMsAHost * this.#hosts.size);
  }

  /** All hosts by name. */
  list(): HostRecord[] {
    return [...this.#hosts.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** How many hosts there are. */
  get size(): number {
    return this.#hosts.size;
  }

  get(name: string): HostRecord | undefined {
    return this.#hosts.get(name);
  }

  /** A host that has just been stored. */
  add(row: HostsTable): void {
    this.#latest.delete(row.name);
    this.#hosts.set(row.name, {
      name: row.name,
      labels: JSON.parse(row.labels) as Record<string, string>,
      joinedMs: row.joined_at,
      certificateNotAfterMs: row.certificate_not_after,
      certificates: certificatesOf(row),
      agentVersion: row.agent_version,
      lastSeenMs: row.last_seen ?? undefined,
      clockSkewMs: 0,
      sealingKey: row.sealing_key === null ? undefined : Buffer.from(row.sealing_key, 'base64'),
      stacks: row.inventory === null ? undefined : readInventory(row.inventory),
      session: undefined,
    });
  }

  /** A host that has just joined; the link of the machine whose place it took ends. */
  join(row: HostsTable): void {
    const earlier = this.#hosts.get(row.name)?.session;
    this.add(row);
    if (earlier === undefined) return;
    earlier.end('denied', `the host ${row.name} has joined again with another certificate`);
    this.#listener?.hostOffline(row.name);
  }

  /** A host has another certificate. */
  renewed(row: HostsTable): void {
    const { certificate_not_after: certificateNotAfterMs } = row;
    this.#update(row.name, { certificateNotAfterMs, certificates: certificatesOf(row) });
  }

  /** Throws `denied` for a host that was removed, or has joined again with another certificate. */
  checkCertificate({ name, fingerprint }: Peer): void {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new KomposeError('denied', `the host ${name} was removed from the fleet`);
    if (!host.certificates.includes(fingerprint))
      throw new KomposeError('denied', `the host ${name} has joined again with another certificate`);
  }

  /** A host that has just been removed from the store: its link ends at once. */
  remove(name: string): void {
    const session = this.#hosts.get(name)?.session;
    this.#hosts.delete(name);
    this.#latest.delete(name);
    this.#unkept.delete(name);
    session?.end('denied', `the host ${name} was removed from the fleet`);
    if (session !== undefined) this.#listener?.hostOffline(name);
  }

  /**
   * The controller is stopping: has every agent end its link and come back, spread over a while. Resolves when all links
   * have ended, or when it took too long.
   */
  async dismiss(): Promise<void> {
    const sessions = this.list().flatMap(({ session }) => session ?? []);
    const spreadMs = Math.min(longestSpreadMs, spreadMsAHost * sessions.length);
    const left = sessions.map((session) =>
      session.dismiss(leastReturnMs + Math.round(Math.random() * spreadMs)),
    );
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, dismissalMs);
    await Promise.race([Promise.all(left), late.promise]);
    clearTimeout(timer);
  }

  relabel(name: string, labels: Readonly<Record<string, string>>): void {
    this.#update(name, { labels });
  }

  /** Throws `conflict` if a later instance of this agent is connected, `unreachable` if a later link was before. */
  refuseEarlier(session: HostSession): void {
    const latest = this.#latest.get(session.host);
    if (latest === undefined || !isLater(latest, session)) return;
    const isLinked = this.#hosts.get(session.host)?.session !== undefined;
    if (isLinked && latest.instanceId !== session.instanceId)
      throw new KomposeError('conflict', laterInstance(session.host));
    throw new KomposeError('unreachable', `a later link of the agent for ${session.host} was here before`);
  }

  /** Takes a link into service. Throws what `refuseEarlier` throws. */
  connect(
    session: HostSession,
    { agentVersion, trusts }: Readonly<Record<'agentVersion' | 'trusts', string>>,
    openTasks: ReadonlySet<string>,
  ): void {
    const host = this.#hosts.get(session.host);
    if (host === undefined)
      throw new KomposeError('denied', `the host ${session.host} was removed from the fleet`);
    this.refuseEarlier(session);
    const earlier = host.session;
    const { sealingKey, instanceId, instanceStartedMs, linkNumber } = session;
    this.#latest.set(session.host, { instanceId, instanceStartedMs, linkNumber });
    this.#update(session.host, { session, agentVersion, sealingKey, lastSeenMs: this.#clock() });
    if (earlier !== undefined) {
      const isSame = earlier.instanceId === instanceId;
      earlier.end(isSame ? 'unreachable' : 'conflict', isSame ? 'linked anew' : laterInstance(session.host));
    }
    const sealing_key = sealingKey === undefined ? null : Buffer.from(sealingKey).toString('base64');
    this.#keepSoon(linkedRow, [agentVersion, trusts, this.#clock(), sealing_key, session.host]);
    this.#listener?.hostOnline(session, openTasks);
  }

  /** A link has ended; nothing happens if another has taken its place. */
  disconnect(session: HostSession): void {
    if (this.#hosts.get(session.host)?.session !== session) return;
    this.#update(session.host, { session: undefined, lastSeenMs: this.#clock() });
    this.#keepSoon(seenRow, [this.#clock(), session.host]);
    this.#listener?.hostOffline(session.host);
  }

  /** A word from the agent: it lives, and its clock shows `agentNowMs`. */
  heard(session: HostSession, agentNowMs: number): void {
    if (this.#hosts.get(session.host)?.session !== session) return;
    this.#update(session.host, { lastSeenMs: this.#clock(), clockSkewMs: agentNowMs - this.#clock() });
  }

  /** What the fleet knows from now on; resolves when the store has it, or cannot take it. */
  async setStacks(session: HostSession, stacks: readonly StackSummary[]): Promise<void> {
    const host = this.#hosts.get(session.host);
    if (host?.session !== session) return;
    // Each link tells them anew, most often the same.
    const isNew = !isDeepStrictEqual(host.stacks, stacks);
    this.#update(session.host, { stacks: isNew ? stacks : host.stacks, lastSeenMs: this.#clock() });
    if (!isNew && !this.#unkept.has(session.host)) return;
    const isKept = await this.#keepStacks(session.host, JSON.stringify(stacks));
    if (isKept) this.#unkept.delete(session.host);
    else this.#unkept.add(session.host);
  }

  #update(name: string, change: Partial<HostRecord>): void {
    const host = this.#hosts.get(name);
    if (host !== undefined) this.#hosts.set(name, { ...host, ...change });
  }

  // What is kept here is for the next start only, so a store that cannot write holds up nothing.

  async #keepStacks(host: string, inventory: string): Promise<boolean> {
    return this.#store
      .write((transaction) =>
        transaction.updateTable('hosts').set({ inventory }).where('name', '=', host).execute(),
      )
      .then(
        () => true,
        () => false,
      );
  }

  /** A whole fleet may come, and go, at once: a transaction for each few of them would hold up the others. */
  #keepSoon(sql: string, values: readonly SqlValue[]): void {
    this.#store.writeSoon((transaction) => runHot(transaction, sql, values)).catch(() => undefined);
  }
}

const linkedRow =
  'update hosts set agent_version = ?, trusts = ?, last_seen = ?, sealing_key = ? where name = ?';
const seenRow = 'update hosts set last_seen = ? where name = ?';

/** An earlier version kept no services. */
function readInventory(json: string): StackSummary[] {
  const stacks = JSON.parse(json) as (Omit<StackSummary, 'services'> & Partial<StackSummary>)[];
  return stacks.map((stack) => ({ ...stack, services: stack.services ?? [] }));
}

function isLater(one: LinkAge, other: LinkAge): boolean {
  return one.instanceId === other.instanceId
    ? one.linkNumber > other.linkNumber
    : one.instanceStartedMs > other.instanceStartedMs;
}

function laterInstance(host: string): string {
  return `another agent for ${host} was started later with the same certificate and has taken over`;
}
