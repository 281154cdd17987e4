import { X509Certificate } from 'node:crypto';
import { isSignedBy, type SignedMark } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import {
  certificateFinding,
  clockFinding,
  fail,
  findingLines,
  findingsExitCode,
  ok,
  type Finding,
} from '../../common/finding.ts';
import type { Host, WhoAmIResponse } from '../../proto/gen/kompose/v1/fleet.ts';
import { askAuditHead } from '../audit-head.ts';
import type { Call } from '../call.ts';
import type { Fleet } from '../client.ts';
import { loadContext } from '../contexts.ts';
import type { Noun } from '../noun.ts';
import { timeText } from '../output/values.ts';

export const doctor: Noun = {
  name: 'doctor',
  summary: 'Looks at your login, the controller and all hosts: what is wrong, and its remedy.',
  verbs: [
    {
      name: '',
      summary: '',
      run: async (call) => {
        const findings = [await examineLogin(call), ...(await examineFleet(call))];
        call.terminal.stdout(findingLines(findings, call.globals.output === 'json'));
        return findingsExitCode(findings);
      },
    },
  ],
};

const login = 'ask an admin for a token (kompose tokens create), then kompose login TOKEN';

async function examineLogin({ settings, globals }: Call): Promise<Finding> {
  try {
    const { certificate } = await loadContext(settings.userFolder, globals.context);
    const end = new X509Certificate(certificate).validToDate.getTime();
    return certificateFinding('login', end, Date.now(), login);
  } catch (error) {
    return fail('login', KomposeError.from(error).message, login);
  }
}

async function examineFleet(call: Call): Promise<Finding[]> {
  try {
    using fleet = await call.connect();
    const own = [await examineController(fleet), await examineRoster(fleet), await examineAudit(fleet)];
    return [...own, ...(await examineHosts(fleet))];
  } catch (error) {
    const { code, message } = KomposeError.from(error);
    const isRefused = code === 'unauthenticated' || code === 'denied';
    return [fail('controller', message, isRefused ? login : 'see that kompose controller serve runs there')];
  }
}

async function examineController(fleet: Fleet): Promise<Finding> {
  const me = await fleet.ask<WhoAmIResponse>((answer) => fleet.client.whoAmI({}, answer));
  return ok(
    'controller',
    `${fleet.address} answers (version ${me.controllerVersion}) to ${me.name} (${me.role})`,
  );
}

/** Whether hosts that know this controller's roster do what this login signs. */
async function examineRoster(fleet: Fleet): Promise<Finding> {
  try {
    const roster = await fleet.roster.sync(fleet);
    const user = roster.userOfKey(fleet.roster.key.publicKey);
    if (user !== undefined)
      return ok('signing key', `${user.name}'s, in a roster of ${roster.users.length} users`);
    return fail('signing key', 'it is not in the roster: no host does what it signs', login);
  } catch (error) {
    return fail('signing key', KomposeError.from(error).message, login);
  }
}

/** Whether anybody who has seen the audit found it changed since, we too. */
async function examineAudit(fleet: Fleet): Promise<Finding> {
  const { head, contradictions } = await askAuditHead(fleet);
  return auditFinding(head, contradictions, fleet.auditWitness.fingerprint);
}

/** One line for all hosts that are well, and one for each thing that is not. */
async function examineHosts(fleet: Fleet): Promise<Finding[]> {
  const findings: Finding[] = [];
  let well = 0;
  for await (const host of fleet.read(fleet.client.listHosts({}))) {
    const troubles = hostFindings(host, Date.now()).filter(({ status }) => status !== 'ok');
    if (troubles.length === 0) well++;
    findings.push(...troubles);
  }
  return [ok('hosts', `${well} are well`), ...findings];
}

/** Whether it is online, its clock, its certificate. Pure. */
export function hostFindings(host: Host, nowMs: number): Finding[] {
  const { name, online, lastSeenUnixMs, clockSkewMs, certificateNotAfterUnixMs } = host;
  const check = `host ${name}`;
  const seen = timeText(lastSeenUnixMs) || 'never';
  const rejoin =
    certificateNotAfterUnixMs > nowMs
      ? 'see that its agent runs and is linked: it renews the certificate by itself'
      : `kompose tokens create --role agent --replace ${name}, then on it kompose agent join TOKEN --replace`;
  return [
    online
      ? ok(check, 'online')
      : fail(check, `offline, last seen ${seen}`, 'on the host: kompose agent doctor'),
    clockFinding(check, online ? clockSkewMs : 0, 'its clock'),
    certificateFinding(check, certificateNotAfterUnixMs, nowMs, rejoin),
  ];
}

/** Pure. `key` is the fingerprint that this login knows. */
export function auditFinding(
  head: SignedMark | undefined,
  contradictions: readonly number[],
  key: string | undefined,
): Finding {
  const [newest] = contradictions;
  if (newest !== undefined) {
    const remedy = `kompose audit show ${newest}, kompose audit verify`;
    return fail('audit', 'records that somebody has seen were changed or are gone', remedy);
  }
  if (head === undefined || (key !== undefined && !isSignedBy('head', head, key)))
    return fail('audit', 'it is signed by another key than this login knows', 'kompose audit verify');
  return ok('audit', `${head.count} records, none was found changed by those who have seen them`);
}
