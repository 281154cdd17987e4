import { join } from 'node:path';
import { Server } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { KomposeError } from '../common/errors.ts';
import { maxMessageBytes } from '../proto/channel-options.ts';
import { AgentLinkService } from '../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../proto/gen/kompose/v1/enrolment.ts';
import { FleetService } from '../proto/gen/kompose/v1/fleet.ts';
import { splitAddress } from '../proto/enrol.ts';
import { loadState, type ControllerSettings } from './config.ts';
import { Fleet } from './fleet/fleet.ts';
import { authorityFingerprint } from './identity/authority.ts';
import { EnrolmentDesk } from './identity/enrolment.ts';
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
  const { config, authority, server: serverPair } = await loadState(settings.folder);
  const clock = Date.now;
  const store = await Store.open(databasePath(settings.folder));
  const fleet = await Fleet.open(store, clock);
  const { lostAfterMs, heartbeatPeriodMs } = settings;
  const runsFolder = join(settings.folder, 'runs');
  const runs = await RunRegistry.open({ store, fleet, runsFolder, clock, logger: log, lostAfterMs });
  const handlers = new Handlers(log);
  const desk = new EnrolmentDesk({ store, authority, clock });
  const { addresses } = config;
  const caFingerprint = authorityFingerprint(authority.certificate);
  raiseSessionWindows();
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(EnrolmentService, enrolmentService(desk, fleet, store, handlers));
  server.addService(
    AgentLinkService,
    agentLinkService({ store, fleet, runs, handlers, log, clock, heartbeatPeriodMs }),
  );
  server.addService(
    FleetService,
    fleetService({ store, fleet, runs, handlers, clock, addresses, caFingerprint }),
  );
  const credentials = serverCredentials({
    privateKey: serverPair.privateKey,
    certificateChain: serverPair.certificate + authority.certificate,
    caCertificate: authority.certificate,
  });
  const where = listen ?? `0.0.0.0:${splitAddress(addresses[0] ?? '').port}`;
  const port = await bind(server, where, credentials);
  const close = async (): Promise<void> => {
    server.forceShutdown();
    await store.close();
  };
  return { address: where.replace(/:\d+$/, `:${port}`), close };
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
