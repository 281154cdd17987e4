import { X509Certificate } from 'node:crypto';
import { isSignedBy, type SignedMark } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import { jsonLine } from '../../common/printable.ts';
import {
  certificateFinding,
  clockFinding,
  fail,
  findingLines,
  findingsExitCode,
  ok,
  warn,
  type Finding,
} from '../../common/finding.ts';
import type { Host, WhoAmIResponse } from '../../proto/gen/kompose/v1/fleet.ts';
import { askAuditHead } from '../audit-head.ts';
import type { Call } from '../call.ts';
import type { Fleet } from '../client.ts';
import { loadContext } from '../contexts.ts';
import type { Noun, VerbOptions } from '../noun.ts';
import { hostOption, labelFilterOption } from '../options.ts';
import { gaugesFinding, gaugesTable, type ToldGauges } from '../output/gauges-table.ts';
import { timeText } from '../output/values.ts';

export const doctor: Noun = {
  name: 'doctor',
  summary:
    'Looks at your login, the controller and all hosts: what is wrong, and its remedy. Shows admins what the controller takes, and the agents of the hosts that are named.',
  verbs: [
    {
      name: '',
      summary: '',
      options: () => [hostOption(), labelFilterOption()],
      run: async (call, _, options) => {
        const { findings, gauges } = await examineFleet(call, options);
        const all = [await examineLogin(call), ...findings];
        show(call, all, gauges);
        return findingsExitCode(all);
      },
    },
  ],
};

interface Examined {
  readonly findings: readonly Finding[];
  /** Of those programs that told. */
  readonly gauges: readonly ToldGauges[];
}

function show(
  { terminal, globals }: Call,
  findings: readonly Finding[],
  gauges: readonly ToldGauges[],
): void {
  const isJson = globals.output === 'json';
  terminal.stdout(findingLines(findings, isJson));
  if (isJson) for (const each of gauges) terminal.stdout(`${jsonLine(gaugesFinding(each))}\n`);
  else if (gauges.length > 0) terminal.stdout(`\n${gaugesTable(gauges, terminal.columns)}`);
}

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

async function examineFleet(call: Call, options: VerbOptions): Promise<Examined> {
  try {
    using fleet = await call.connect();
    const me = await fleet.ask<WhoAmIResponse>((answer) => fleet.client.whoAmI({}, answer));
    const own = [controllerFinding(fleet, me), await examineRoster(fleet), await examineAudit(fleet)];
    const hosts = await examineHosts(fleet);
    const { findings, gauges } = await readGauges(fleet, me, options);
    return { findings: [...own, ...hosts, ...findings], gauges };
  } catch (error) {
    const { code, message } = KomposeError.from(error);
    const isRefused = code === 'unauthenticated' || code === 'denied';
    const remedy = isRefused ? login : 'see that kompose controller serve runs there';
    return { findings: [fail('controller', message, remedy)], gauges: [] };
  }
}

function controllerFinding({ address }: Fleet, { controllerVersion, name, role }: WhoAmIResponse): Finding {
  return ok('controller', `${address} answers (version ${controllerVersion}) to ${name} (${role})`);
}

/** What the controller takes, and the agents of the hosts that are named; who may not see it hears so if they named some. */
async function readGauges(
  fleet: Fleet,
  { role }: WhoAmIResponse,
  { host: hosts = [], label: labels = [] }: VerbOptions,
): Promise<Examined> {
  const isNamed = hosts.length + labels.length > 0;
  if (role !== 'admin') {
    const why = warn('gauges', 'only admins see what programs take', 'ask one of them');
    return { findings: isNamed ? [why] : [], gauges: [] };
  }
  const filter = isNamed ? { hosts: [...hosts], labels: [...labels] } : undefined;
  const told: ToldGauges[] = [];
  const findings: Finding[] = [];
  try {
    for await (const { host, gauges, error } of fleet.read(fleet.client.listGauges({ filter }))) {
      if (gauges?.loopDelay !== undefined)
        told.push({ host, gauges: { ...gauges, loopDelay: gauges.loopDelay } });
      else findings.push(warn(`gauges of ${host}`, error, 'on the host: kompose agent doctor'));
    }
  } catch (error) {
    findings.push(fail('gauges', KomposeError.from(error).message, 'name other hosts: kompose hosts'));
  }
  return { findings, gauges: told };
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
