import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Server } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { ProcessGauge } from '../common/process-gauge.ts';
import { maxMessageBytes } from '../proto/channel-options.ts';
import { EnrolmentService } from '../proto/gen/kompose/v1/enrolment.ts';
import { passingFleetService } from '../proto/passing-fleet.ts';
import { passingAgentLinkService } from '../proto/passing-link.ts';
import { splitAddress } from '../proto/enrol.ts';
import { headMetadata } from '../proto/audit-head-metadata.ts';
import { addTrust } from '../proto/trust.ts';
import { record } from './audit/audit.ts';
import { parseAuditKey } from './audit/audit-key.ts';
import { AuditNotary } from './audit/audit-notary.ts';
import { Refusals } from './audit/refusals.ts';
import { findAuditKey, loadState, type ControllerSettings } from './config.ts';
import { Fleet } from './fleet/fleet.ts';
import { controllerGauges } from './gauges.ts';
import { Authorities } from './identity/authorities.ts';
import { EnrolmentDesk } from './identity/enrolment.ts';
import { Roles } from './identity/roles.ts';
import { RosterBook } from './identity/roster-book.ts';
import { createServerIdentities } from './identity/server-identities.ts';
import { databasePath } from './init.ts';
import { RunSweeper } from './runs/run-sweeper.ts';
import { RunRegistry } from './runs/run-registry.ts';
import { agentLinkService } from './services/agent-link-service.ts';
import { Door } from './services/door.ts';
import { enrolmentService } from './services/enrolment-service.ts';
import { fleetService } from './services/fleet-service.ts';
import { gatekeeper } from './services/gatekeeper.ts';
import { guardSessions } from './services/guard-sessions.ts';
import { Handlers } from './services/handlers.ts';
import { HeldBytes } from './services/held-bytes.ts';
import { defaultLimits } from './services/limits.ts';
import { RateLimit } from './services/rate-limit.ts';
import { ControllerCredentials, type ServerIdentity } from './services/server-credentials.ts';
import { watchHandshakes } from './services/watch-handshakes.ts';
import { Store } from './store/store.ts';
import { watchState } from './watch-state.ts';

/** How often this controller makes itself a new certificate. */
const ownRenewalMs = 24 * 60 * 60 * 1000;

export interface RunningController {
  /** ADDR:PORT that is listened on. */
  readonly address: string;
  /** Begins no run any more, sends the agents away for a while, cuts the open calls, closes the store; takes seconds. */
  close(): Promise<void>;
}

/** Serves until closed. `listen` is ADDR:PORT; absent, the port of the first address on all interfaces. */
export async function serveController(
  settings: ControllerSettings,
  listen: string | undefined,
  log: Logger,
): Promise<RunningController> {
  const state = await loadState(settings.folder);
  await refuseReadOnly(settings.folder);
  const authorities = new Authorities(state);
  let { addresses } = state.config;
  const limits = { ...defaultLimits, ...settings.limits };
  const clock = Date.now;
  const store = await Store.open(databasePath(settings.folder));
  const { refusalWindowMs: windowMs, refusalRecords: mostRecords, refusedAddresses: mostAddresses } = limits;
  const key = parseAuditKey(state.auditKey);
  const findKey = (publicKey: string): ReturnType<typeof findAuditKey> =>
    findAuditKey(settings.folder, publicKey);
  const notary = await AuditNotary.open({ store, key, findKey, clock, log, windowMs, mostRecords });
  const fleet = await Fleet.open(store, clock);
  const roles = await Roles.open(store);
  const roster = await RosterBook.open(store, clock);
  roster.listen(({ entries }, after) => {
    for (const { session } of fleet.list()) session?.tellRoster(after, entries.slice(after));
  });
  const { lostAfterMs, heartbeatPeriodMs, hostCertificateMs, userCertificateMs } = settings;
  const { keptOutputBytes: keptBytes } = settings;
  const runsFolder = join(settings.folder, 'runs');
  const runs = await RunRegistry.open({
    store,
    notary,
    fleet,
    roles,
    roster,
    runsFolder,
    clock,
    logger: log,
    lostAfterMs,
    keptBytes,
  });
  const { keptRuns: kept } = settings;
  const isLive = (run: string): boolean => runs.live(run) !== undefined;
  const sweeper = new RunSweeper({ store, runsFolder, isLive, clock, kept }, log);
  runs.onEnded((bytes) => sweeper.runEnded(bytes));
  const held = new HeldBytes(limits.heldBytes);
  const handlers = new Handlers(log, held);
  const processGauge = new ProcessGauge();
  const refusals = new Refusals({ store, clock, log, windowMs, mostRecords, mostAddresses });
  const lives = { hostCertificateMs, userCertificateMs };
  const desk = new EnrolmentDesk({ store, authorities, clock, refusals, roster, ...lives });
  const sessions = guardSessions(limits, held);
  const door = new Door(limits, (socket) => injector.injectConnection(socket));
  const expel = (certificates: readonly string[]): void => door.expel(certificates);
  const server = new Server({
    interceptors: [gatekeeper({ limits, store, refusals, knows: (...who) => door.knows(...who) })],
    'grpc.max_connection_idle_ms': limits.idleMs,
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveAnswerMs,
  });
  server.addService(
    EnrolmentService,
    enrolmentService({
      desk,
      fleet,
      store,
      handlers,
      auditKey: () => notary.publicKey,
      expel,
      limit: new RateLimit(limits.enrolment.callsPerSecond, limits.enrolment.burst),
    }),
  );
  server.addService(
    passingAgentLinkService,
    agentLinkService({
      store,
      fleet,
      runs,
      handlers,
      log,
      clock,
      notary,
      roster,
      authorities,
      heartbeatPeriodMs,
      limits,
      cut: (...who) => door.cut(...who),
    }),
  );
  server.addService(
    passingFleetService,
    fleetService({
      handlers: new Handlers(log, held, () => addTrust(headMetadata(notary.newest), authorities.ids)),
      store,
      fleet,
      roles,
      roster,
      runs,
      clock,
      addresses: () => addresses,
      authorities,
      expel,
      notary,
      readGauges: () => controllerGauges({ process: processGauge, fleet, runs, store, held }),
    }),
  );
  const identities = (): Promise<ServerIdentity[]> => createServerIdentities(authorities, addresses, clock());
  const credentials = new ControllerCredentials(await identities(), limits);
  const injector = server.createConnectionInjector(credentials);
  watchHandshakes(server, refusals);
  const where = listen ?? `0.0.0.0:${splitAddress(addresses[0] ?? '').port}`;
  const port = await door.listen(where);
  // One after the other: the newest certificates are of the newest CAs.
  let renewing = Promise.resolve();
  const renew = (): Promise<void> => {
    renewing = renewing
      .then(async () => credentials.use(await identities()))
      .catch((error: unknown) =>
        log.error({ err: error }, 'the certificate of this controller cannot be renewed'),
      );
    return renewing;
  };
  const stopWatching = watchState(settings.folder, log, async (changed) => {
    authorities.use(changed);
    addresses = changed.config.addresses;
    await renew();
  });
  const renewal = setInterval(() => void renew(), settings.ownRenewalMs ?? ownRenewalMs).unref();
  const tell = (type: 'controller.started' | 'controller.stopped'): Promise<void> =>
    tellOfController(store, type, clock(), log);
  await tell('controller.started');
  sweeper.start();
  const close = async (): Promise<void> => {
    await stopWatching();
    clearInterval(renewal);
    runs.pause();
    await fleet.dismiss();
    door.close();
    server.forceShutdown();
    runs.close();
    await sweeper.close();
    sessions[Symbol.dispose]();
    await refusals.close();
    await tell('controller.stopped');
    await notary.close();
    await store.close();
    processGauge[Symbol.dispose]();
  };
  return { address: where.replace(/:\d+$/, `:${port}`), close };
}

/** Throws `unavailable` where nothing can ever be recorded. A full disk is no reason: it may have room again. */
async function refuseReadOnly(folder: string): Promise<void> {
  const probe = join(folder, '.writable');
  try {
    await writeFile(probe, '');
    await rm(probe);
  } catch (error) {
    if (!isSystemError(error, 'EROFS')) return;
    const message = `the disk of ${folder} is read-only: mend it, then start the controller`;
    throw new KomposeError('unavailable', message, { cause: error });
  }
}

/** A store that cannot be written holds up neither a start nor a stop. */
async function tellOfController(
  store: Store,
  type: 'controller.started' | 'controller.stopped',
  timeMs: number,
  log: Logger,
): Promise<void> {
  const actor = { name: 'controller', role: 'controller', certificate: '' };
  await store
    .write((transaction) => record(transaction, timeMs, { type, actor }))
    .catch((error: unknown) => log.error({ err: error }, `${type} cannot be recorded`));
}
