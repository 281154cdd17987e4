import { join } from 'node:path';
import { Server } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { KomposeError } from '../common/errors.ts';
import { maxMessageBytes } from '../proto/channel-options.ts';
import { AgentLinkService } from '../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../proto/gen/kompose/v1/enrolment.ts';
import { FleetService } from '../proto/gen/kompose/v1/fleet.ts';
import { splitAddress } from '../proto/enrol.ts';
import { record } from './audit/audit.ts';
import { parseAuditKey } from './audit/audit-key.ts';
import { AuditNotary } from './audit/audit-notary.ts';
import { headMetadata } from '../proto/audit-head-metadata.ts';
import { loadState, type ControllerSettings } from './config.ts';
import { Fleet } from './fleet/fleet.ts';
import { authorityFingerprint } from './identity/authority.ts';
import { EnrolmentDesk } from './identity/enrolment.ts';
import { Roles } from './identity/roles.ts';
import { databasePath } from './init.ts';
import { RunRegistry } from './runs/run-registry.ts';
import { agentLinkService } from './services/agent-link-service.ts';
import { enrolmentService } from './services/enrolment-service.ts';
import { fleetService } from './services/fleet-service.ts';
import { Handlers } from './services/handlers.ts';
import { raiseSessionWindows } from './services/session-windows.ts';
import { serverCredentials } from './services/server-credentials.ts';
import { Store } from './store/store.ts';

export interface RunningController {
  /** ADDR:PORT that is listened on. */
  readonly address: string;
  /** Refuses new calls, cuts the open ones, closes the store. */
  close(): Promise<void>;
}

/** Serves until closed. `listen` is ADDR:PORT; absent, the port of the first address on all interfaces. */
export async function serveController(
  settings: ControllerSettings,
  listen: string | undefined,
  log: Logger,
): Promise<RunningController> {
  const { config, authority, server: serverPair, auditKey } = await loadState(settings.folder);
  const clock = Date.now;
  const store = await Store.open(databasePath(settings.folder));
  const notary = await AuditNotary.open({ store, key: parseAuditKey(auditKey), clock, log });
  const fleet = await Fleet.open(store, clock);
  const roles = await Roles.open(store);
  const { lostAfterMs, heartbeatPeriodMs, hostCertificateMs, userCertificateMs } = settings;
  const runsFolder = join(settings.folder, 'runs');
  const runs = await RunRegistry.open({ store, fleet, roles, runsFolder, clock, logger: log, lostAfterMs });
  const handlers = new Handlers(log);
  const desk = new EnrolmentDesk({ store, authority, clock, hostCertificateMs, userCertificateMs });
  const { addresses } = config;
  const caFingerprint = authorityFingerprint(authority.certificate);
  raiseSessionWindows();
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(
    EnrolmentService,
    enrolmentService({ desk, fleet, store, handlers, auditKey: notary.publicKey }),
  );
  server.addService(
    AgentLinkService,
    agentLinkService({ store, fleet, runs, handlers, log, clock, notary, heartbeatPeriodMs }),
  );
  server.addService(
    FleetService,
    fleetService({
      handlers: new Handlers(log, () => headMetadata(notary.newest)),
      store,
      fleet,
      roles,
      runs,
      clock,
      addresses,
      caFingerprint,
      notary,
    }),
  );
  const credentials = serverCredentials({
    privateKey: serverPair.privateKey,
    certificateChain: serverPair.certificate + authority.certificate,
    caCertificate: authority.certificate,
  });
  const where = listen ?? `0.0.0.0:${splitAddress(addresses[0] ?? '').port}`;
  const port = await bind(server, where, credentials);
  const tell = (type: 'controller.started' | 'controller.stopped'): Promise<void> =>
    tellOfController(store, type, clock(), log);
  await tell('controller.started');
  const close = async (): Promise<void> => {
    server.forceShutdown();
    await tell('controller.stopped');
    await notary.close();
    await store.close();
  };
  return { address: where.replace(/:\d+$/, `:${port}`), close };
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

function bind(
  server: Server,
  where: string,
  credentials: Parameters<Server['bindAsync']>[1],
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(where, credentials, (error, port) => {
      if (error === null) resolve(port);
      else
        reject(new KomposeError('failed', `cannot listen on ${where}: ${error.message}`, { cause: error }));
    });
  });
}
