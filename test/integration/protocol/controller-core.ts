import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { signRun } from '../../../cli/sign-run.ts';
import { rootEntry } from '../../../common/roster/entry.ts';
import { createSigningKey } from '../../../common/signing/signing-key.ts';
import type { RunEvent } from '../../../common/task-event.ts';
import { createAuditKey, parseAuditKey } from '../../../controller/audit/audit-key.ts';
import { AuditNotary } from '../../../controller/audit/audit-notary.ts';
import { Fleet } from '../../../controller/fleet/fleet.ts';
import { Roles } from '../../../controller/identity/roles.ts';
import { RosterBook } from '../../../controller/identity/roster-book.ts';
import type { RunRequest } from '../../../controller/runs/run-request.ts';
import { RunRegistry } from '../../../controller/runs/run-registry.ts';
import type { Proposal, RunSignature } from '../../../controller/runs/signed-run.ts';
import { Store } from '../../../controller/store/store.ts';
import { decodeRunEvent } from '../../../proto/event-codec.ts';
import { RunRequest as WireRunRequest } from '../../../proto/gen/kompose/v1/fleet.ts';

export const hostNames = ['prod-1', 'prod-2'] as const;
export const stackNames = ['blue', 'sexy'] as const;
/** How long a host may be away before its tasks are given up. */
export const lostAfterMs = 60_000;
/** How long --offline waits for one. */
export const offlineWaitMs = 30_000;

const key = createSigningKey();
const auditKey = parseAuditKey(createAuditKey());
const actor = { name: 'ada', role: 'operator', certificate: 'c' };
export const clock = (): number => Date.now();

/** What a run is asked with, as far as it differs. */
export type RunChoice = Pick<RunRequest, 'rollout' | 'offline'>;

/** A folder as a controller leaves it that knows one user and two hosts with two stacks each, and has never had a run. */
export async function prepareController(folder: string): Promise<void> {
  const store = await Store.open(join(folder, 'kompose.db'));
  const certificate = { certificate: 'c', certificate_not_after: 0, renewed_certificate: null, trusts: '' };
  const inventory = stackNames.map((name) => ({
    name,
    composeFile: 'compose.yaml',
    hooks: [],
    services: [],
  }));
  await store.write(async (transaction) => {
    const user = { ...certificate, name: 'ada', role: 'operator', created_at: 0 };
    await transaction.insertInto('users').values(user).execute();
    await transaction
      .insertInto('roster')
      .values({ seq: 1, ...rootEntry('ada', key) })
      .execute();
    for (const name of hostNames) {
      const times = { joined_at: 0, last_seen: 0, agent_version: '' };
      const host = { ...certificate, ...times, name, labels: '{}', sealing_key: null };
      await transaction
        .insertInto('hosts')
        .values({ ...host, inventory: JSON.stringify(inventory) })
        .execute();
    }
  });
  await store.close();
}

/** The controller behind its gRPC services: its real store, fleet, runs and logs. */
export class ControllerCore {
  readonly folder: string;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly runs: RunRegistry;
  readonly #notary: AuditNotary;

  private constructor(
    folder: string,
    store: Store,
    notary: AuditNotary,
    { fleet, runs }: { fleet: Fleet; runs: RunRegistry },
  ) {
    this.#notary = notary;
    this.folder = folder;
    this.store = store;
    this.fleet = fleet;
    this.runs = runs;
  }

  static async open(folder: string): Promise<ControllerCore> {
    const store = await Store.open(join(folder, 'kompose.db'));
    const fleet = await Fleet.open(store, clock);
    const roles = await Roles.open(store);
    const roster = await RosterBook.open(store, clock);
    const logger = pino({ level: 'silent' });
    const runsFolder = join(folder, 'runs');
    const notary = await AuditNotary.open({
      store,
      key: auditKey,
      findKey: async () => auditKey,
      clock,
      log: logger,
      windowMs: 60_000,
      mostRecords: 10,
    });
    const shared = { store, notary, fleet, roles, roster, runsFolder, clock, logger };
    const runs = await RunRegistry.open({ ...shared, lostAfterMs, keptBytes: 65_536 });
    return new ControllerCore(folder, store, notary, { fleet, runs });
  }

  /** Leaves in another folder what a SIGKILL at this moment would have left. */
  copyTo(folder: string): void {
    cpSync(this.folder, folder, { recursive: true });
  }

  /** Starts `up -d` on every stack; gives its id. */
  async start(choice: RunChoice): Promise<string> {
    const wire = { ...WireRunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'up', args: ['-d'] };
    const sign = async ({ run, targets }: Proposal): Promise<RunSignature> => {
      const proposed = targets.map(({ task, ...target }) => ({ taskId: task, ...target }));
      const proposal = { runId: run, targets: proposed };
      const { order, env, network, signatures } = signRun({ request: wire }, proposal, key, clock());
      return { order, values: { env, network }, signatures };
    };
    const none = { env: {}, network: undefined, timeoutMs: 0, dryRun: false, raw: false };
    const filter = { hosts: [], labels: [] };
    const asked = { pattern: '*', command: 'up', args: ['-d'], filter, detach: true, hasStdin: false };
    const run = await this.runs.start({ ...none, ...asked, ...choice }, { actor, clientAddress: '', sign });
    return run.facts.id;
  }

  async cancel(run: string): Promise<void> {
    await this.runs.live(run)?.cancel(actor, '', 'ada said so');
  }

  /** What a run's log holds now. */
  async eventsOf(run: string): Promise<RunEvent[]> {
    const log = await this.runs.openLog(run);
    const events: RunEvent[] = [];
    for await (const records of log.snapshot())
      events.push(...records.map(({ bytes }) => decodeRunEvent(bytes)));
    if (this.runs.live(run) === undefined) log.close();
    return events;
  }

  /** How its tasks are recorded. */
  async rowsOf(run: string): Promise<{ id: string; state: string }[]> {
    return this.store.db.selectFrom('tasks').select(['id', 'state']).where('run_id', '=', run).execute();
  }

  async close(): Promise<void> {
    this.runs.close();
    await this.#notary.close();
    await this.store.close();
  }
}
