import { AgentLinkService } from '../../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../../proto/gen/kompose/v1/enrolment.ts';
import { FleetService } from '../../proto/gen/kompose/v1/fleet.ts';

export interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => object;
  readonly requestSerialize: (request: never) => Buffer;
}

/**
 * Who may call it: anybody with a token, a host or a user by certificate, either, or users of the role admin only.
 * What a user may do on which stack is decided for each target, not at the door.
 */
export type Caller = 'anybody' | 'known' | 'host' | 'user' | 'admin';

/** A method without a row does not compile. */
const enrolment = {
  join: 'anybody',
  login: 'anybody',
  renew: 'known',
} satisfies Record<keyof typeof EnrolmentService, Caller>;

const agentLink = {
  attach: 'host',
  report: 'host',
  checkHost: 'host',
} satisfies Record<keyof typeof AgentLinkService, Caller>;

const fleet = {
  startRun: 'user',
  watchRun: 'user',
  planRetry: 'user',
  cancelRun: 'user',
  listHosts: 'user',
  listStacks: 'user',
  listRuns: 'user',
  getRun: 'user',
  listGauges: 'admin',
  listAudit: 'admin',
  getAudit: 'admin',
  exportAudit: 'admin',
  getAuditHead: 'user',
  pruneAudit: 'admin',
  labelHost: 'admin',
  removeHost: 'admin',
  createToken: 'admin',
  listTokens: 'admin',
  revokeToken: 'admin',
  listUsers: 'admin',
  removeUser: 'admin',
  setUserRole: 'admin',
  whoAmI: 'user',
  syncRoster: 'user',
  listRoles: 'user',
  setRole: 'admin',
  removeRole: 'admin',
  testRole: 'user',
} satisfies Record<keyof typeof FleetService, Caller>;

const rows: readonly (readonly [Method, Caller])[] = [
  ...rowsOf(EnrolmentService, enrolment),
  ...rowsOf(AgentLinkService, agentLink),
  ...rowsOf(FleetService, fleet),
];

/** All methods that these may call. */
export function methodsFor(...callers: readonly Caller[]): Method[] {
  return rows.filter(([, caller]) => callers.includes(caller)).map(([method]) => method);
}

export const allMethods: readonly Method[] = rows.map(([method]) => method);

/** `WhoAmI` */
export function nameOf({ path }: Pick<Method, 'path'>): string {
  return path.split('/').at(-1) ?? path;
}

function rowsOf(service: object, callers: Readonly<Record<string, Caller>>): [Method, Caller][] {
  const methods: [string, Method][] = Object.entries(service);
  return methods.map(([name, method]) => {
    const caller = callers[name];
    if (caller === undefined) throw new Error(`who may call ${name}?`);
    return [method, caller];
  });
}
