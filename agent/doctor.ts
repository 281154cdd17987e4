import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { KomposeError } from '../common/errors.ts';
import { certificateFinding, clockFinding, fail, ok, warn, type Finding } from '../common/finding.ts';
import { RosterFile } from '../common/roster/roster-file.ts';
import type { Identity } from '../proto/enrol.ts';
import { loadMembership, rosterPath, type AgentConfig, type AgentEnvironment } from './config.ts';
import { capture } from './process/capture.ts';
import { komposeScriptOwner } from './local/kompose-script.ts';
import { checkHost } from './session/check-host.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { discoverStacks, type StackFolder } from './stacks/discovery.ts';
import { allowedAgentEnv } from './stacks/env-layers.ts';
import { loadPolicy, policyPath } from './policy.ts';
import { HooksParser } from './stacks/hooks-file.ts';

/** Looks at all that an operator of this host would check. Touches nothing and never throws for what it finds. */
export async function examineHost({ env, folder }: AgentEnvironment): Promise<Finding[]> {
  const agentEnv = allowedAgentEnv(env);
  const [engine, compose] = await Promise.all([examineEngine(agentEnv), examineCompose(agentEnv)]);
  const membership = await loadMembership(folder).catch((error: unknown) => reason(error));
  if (typeof membership === 'string') {
    return [
      engine,
      compose,
      fail('membership', membership, 'kompose agent join TOKEN --name NAME --stacks DIR'),
    ];
  }
  const { config, identity } = membership;
  const [stacks, controller] = await Promise.all([
    examineStacks(config.stacks, agentEnv),
    examineController(config, identity),
  ]);
  const member = ok('membership', `host ${config.name} of ${config.addresses.join(', ')}`);
  const policy = await examinePolicy(folder);
  const roster = examineRoster(folder, config.root);
  return [engine, compose, member, policy, roster, ...stacks, examineCertificate(identity), ...controller];
}

type Env = Readonly<Record<string, string>>;

async function examineEngine(env: Env): Promise<Finding> {
  const argv = ['docker', 'version', '--format', '{{.Server.Version}}'] as const;
  const { exitCode, stdout, stderr } = await capture(argv, { env, timeoutMs: 10_000 });
  if (exitCode === 0) return ok('engine', `version ${stdout.trim()}`);
  const said = stderr.trim().split('\n')[0] ?? '';
  const remedy = 'install and start docker, or set DOCKER_HOST; this user must be allowed to use it';
  return fail('engine', `the docker engine does not answer (${said})`, remedy);
}

async function examineCompose(env: Env): Promise<Finding> {
  try {
    const { argv, version } = await new ComposeFinder(env).find();
    const text = `${argv.join(' ')}, version ${version}`;
    if (argv.length > 1) return ok('compose', text);
    return warn('compose', `${text}, is the old one`, 'install the compose plugin for docker');
  } catch (error) {
    return fail('compose', 'there is no docker compose', reason(error));
  }
}

async function examineStacks(root: string, env: Env): Promise<Finding[]> {
  try {
    const owner = (await stat(root)).uid;
    const stacks = await discoverStacks(root);
    const hooks = await examineHooks(stacks, new HooksParser(env, owner));
    const script = await examineScript(root);
    return [ok('stacks root', root), examineFound(stacks, root), ...hooks, ...script];
  } catch (error) {
    const remedy = `make ${root} a folder that this user can read, or join anew with --stacks`;
    return [fail('stacks root', reason(error), remedy)];
  }
}

function examineFound(stacks: readonly StackFolder[], root: string): Finding {
  if (stacks.length > 0)
    return ok('stacks', `${stacks.length}: ${stacks.map(({ name }) => name).join(', ')}`);
  return warn('stacks', 'there are none', `put a folder with a compose.yaml into ${root}`);
}

/** Hooks chain through the agent's own kompose.sh; where another stands they run that one. */
async function examineScript(root: string): Promise<Finding[]> {
  if ((await komposeScriptOwner(root)) !== 'somebody') return [];
  const path = join(root, 'kompose.sh');
  const remedy = `move ${path} away and start the agent anew, if hooks are to chain through kompose`;
  return [warn('kompose.sh', `${path} is not the agent's own and is left alone`, remedy)];
}

/** One line for all hooks.sh that are well, and one for each that is not. */
async function examineHooks(stacks: readonly StackFolder[], parser: HooksParser): Promise<Finding[]> {
  const findings: Finding[] = [];
  let good = 0;
  for (const { name, path } of stacks.filter(({ hasHooksFile }) => hasHooksFile)) {
    const hooks = await parser.read(path);
    const check = `hooks of ${name}`;
    if (hooks.kind === 'refused')
      findings.push(fail(check, hooks.problem, 'its tasks fail until it is mended'));
    else if (hooks.kind === 'parsed' && !hooks.isExecutable)
      findings.push(
        warn(check, 'hooks.sh is not executable; it runs all the same', `chmod 750 ${hooks.path}`),
      );
    else good++;
  }
  return [ok('hooks', `${good} hooks.sh are well`), ...findings];
}

/** An agent that runs already goes by the policy that it started with. */
async function examinePolicy(folder: string): Promise<Finding> {
  try {
    const { text } = await loadPolicy(folder);
    if (text === '') return ok('policy', 'none: what the roles of users allow is done');
    return ok('policy', `${policyPath(folder)}: ${text.replaceAll('\n', '; ')}`);
  } catch (error) {
    return fail('policy', reason(error), 'mend it: the agent does not start with it');
  }
}

/** As it was when an agent was last told. */
function examineRoster(folder: string, root: string): Finding {
  try {
    const { current } = RosterFile.open(rosterPath(folder), root);
    const { length: users } = current.users;
    if (users > 0) return ok('roster', `${users} users, from the root ${root}`);
    const remedy = "link the agent; if the controller's roster began anew: kompose agent trust FINGERPRINT";
    return warn('roster', `nobody's signature counts here yet; it has to begin with ${root}`, remedy);
  } catch (error) {
    const remedy = 'once an admin has told the root: kompose agent trust FINGERPRINT';
    return fail('roster', reason(error), remedy);
  }
}

function examineCertificate({ certificate }: Identity): Finding {
  const end = new X509Certificate(certificate).validToDate.getTime();
  return certificateFinding('certificate', end, Date.now(), end > Date.now() ? link : rejoin);
}

const link = 'see that kompose agent serve runs and is linked: it renews the certificate by itself';
const rejoin =
  'with a token of kompose tokens create --role agent --replace HOST, here: kompose agent join TOKEN --replace';

/** The first address that answers is enough; the others are named. */
async function examineController({ addresses }: AgentConfig, identity: Identity): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const address of addresses) {
    try {
      const { controllerVersion, clockSkewMs, online } = await checkHost(address, identity);
      findings.push(
        ok('controller', `${address} answers (version ${controllerVersion})`),
        clockFinding('clock', clockSkewMs, "this machine's clock"),
        online
          ? ok('link', 'an agent of this host is linked')
          : warn('link', 'no agent of this host is linked', 'kompose agent serve'),
      );
      return findings;
    } catch (error) {
      findings.push(unreachable(KomposeError.from(error)));
    }
  }
  return findings;
}

function unreachable({ code, message }: KomposeError): Finding {
  if (code === 'denied' || code === 'unauthenticated') return fail('controller', message, rejoin);
  const remedy = 'see that kompose controller serve runs there and that no firewall is between';
  return fail('controller', message, remedy);
}

function reason(error: unknown): string {
  return KomposeError.from(error).message;
}
