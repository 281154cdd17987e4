import { dirname } from 'node:path';
import { json } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { findingLines, findingsExitCode } from '../common/finding.ts';
import { createLog } from '../common/log.ts';
import { checkHostName, checkLabel } from '../common/names.ts';
import { likeNoun, runVerb } from '../common/program-noun.ts';
import { enable, ownerOf, servicePath, unitFolder, unitText, writeUnit } from '../common/systemd-unit.ts';
import { version } from '../common/version.ts';
import { loadMembership, readEnvironment, trustRoot } from './config.ts';
import type { Launcher } from './local/kompose-script.ts';
import type { WatchedRun } from './local/left-behind.ts';
import { endLeftBehindVerb } from './local/left-behind-verb.ts';
import { serveAgent } from './serve.ts';
import { agentUnit, frugalNode } from './unit.ts';

/*
 * What only another verb than `serve` takes is loaded by that verb: an agent serves for months. What a task takes is loaded
 * at the start, though an agent that idles would be 1.4 MB smaller without: an upgrade puts other files in their place, and
 * the agent that still runs goes on without the old ones, but for terminals and the hashes of dumps.
 */

/** Options that stood before the word `agent`. */
export interface AgentGlobals {
  readonly output: 'plain' | 'json';
}

/**
 * `kompose-agent`, and `kompose agent …`. Returns the exit code. Throws KomposeError for what the user is to be
 * told.
 */
export async function main(args: readonly string[], { output }: AgentGlobals): Promise<number> {
  const exit = { code: 0 };
  return (await runVerb(agentProgram(exit, output === 'json'), args)) ? exit.code : 2;
}

/** `exit.code` is what a command that ran well wants to end with. */
function agentProgram(exit: { code: number }, isJson: boolean): Command {
  const program = likeNoun(new Command('kompose agent'));
  program.description('The agent of this Docker host.').version(version).enablePositionalOptions();
  program
    .command('join')
    .description('make this machine a host of a fleet')
    .argument('<token>', 'from: kompose tokens create --role agent')
    .requiredOption('--name <name>', "the host's name, unique in the fleet")
    .requiredOption('--stacks <dir>', 'the folder that holds the stacks')
    .option('--label <k=v>', 'a label; repeatable', collectLabel)
    .option('--replace', 'this machine is a host already: join anew')
    .action(join);
  program
    .command('trust')
    .description(
      'believe the commands of another roster: after kompose controller recover, or a fleet set up anew',
    )
    .argument('<fingerprint>', 'the root that kompose whoami shows to an admin; compare it over another way')
    .action(trust);
  program.command('serve').description('serve this host, in the foreground').action(serve);
  program
    .command('doctor')
    .description(
      'look at the engine, the stacks root, the hooks, the clock and the controller; 1 if one fails',
    )
    .addOption(new Option('-o, --output <how>', 'plain or json').choices(['plain', 'json']))
    .action(async ({ output }: { output?: string }) => {
      exit.code = await examine(output === undefined ? isJson : output === 'json');
    });
  program
    .command('install')
    .description('write the unit kompose-agent.service for systemd')
    .option('--print', 'print it instead')
    .option('--to <dir>', 'where units are', unitFolder)
    .option('--force', 'in place of a unit that is there and differs')
    .action(install);
  program.command(endLeftBehindVerb, { hidden: true }).action(endRun);
  return program;
}

interface JoinOptions {
  readonly name: string;
  readonly stacks: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly replace?: true;
}

interface InstallOptions {
  readonly print?: true;
  readonly to: string;
  readonly force?: true;
}

function collectLabel(text: string, labels?: Readonly<Record<string, string>>): Record<string, string> {
  const [key, value] = checkLabel(text);
  return { ...labels, [key]: value };
}

async function join(token: string, { name, stacks, label = {}, replace }: JoinOptions): Promise<void> {
  const again = replace === true;
  const { joinFleet } = await import('./join.ts');
  const request = { token, name: checkHostName(name), stacks, labels: label, again };
  const config = await joinFleet(request, readEnvironment().folder);
  process.stderr.write(`joined as ${config.name}; now run: kompose agent serve\n`);
}

/** Called by the watchdog of a run in local mode; stdin tells of the run. */
async function endRun(): Promise<void> {
  const { endLeftBehind } = await import('./local/left-behind.ts');
  const run = (await json(process.stdin)) as WatchedRun;
  await endLeftBehind(run, readEnvironment().env, createLog('agent'));
}

async function trust(fingerprint: string): Promise<void> {
  await trustRoot(readEnvironment().folder, fingerprint);
  process.stderr.write('this host believes that root now; start the agent anew\n');
}

async function examine(isJson: boolean): Promise<number> {
  const { examineHost } = await import('./doctor.ts');
  const findings = await examineHost(readEnvironment());
  process.stdout.write(findingLines(findings, isJson));
  return findingsExitCode(findings);
}

async function serve(): Promise<void> {
  const log = createLog('agent');
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  let isFirst = true;
  const onConnected = (address: string): void => {
    if (isFirst) process.stdout.write(`connected to ${address}\n`);
    isFirst = false;
    log.info({ address }, 'linked to the controller');
  };
  await serveAgent(readEnvironment(), launcher('serve'), onConnected, log, stop.signal);
}

async function install({ print, to, force }: InstallOptions): Promise<void> {
  const { env, folder } = readEnvironment();
  const [node, ...program] = launcher('install');
  const argv = [node, ...frugalNode, ...program, 'serve'];
  const place = { env, path: servicePath(env), komposeHome: dirname(folder) };
  if (print === true) {
    process.stdout.write(unitText(agentUnit({ argv, ...place, user: await ownerOf(folder) })));
    return;
  }
  await loadMembership(folder);
  const unit = agentUnit({ argv, ...place, user: await ownerOf(folder) });
  const path = await writeUnit(unit, to, force === true);
  process.stderr.write(`wrote ${path}; now: ${enable(unit.name)}\n`);
}

/** This program, without the verb that it was called with and the options before it; what it starts need not be small. */
function launcher(verb: string): Launcher {
  const [program = '', ...words] = process.argv.slice(1);
  const noun = words.slice(0, words.lastIndexOf(verb)).includes('agent') ? ['agent'] : [];
  const nodeArgs = process.execArgv.filter((arg) => !frugalNode.includes(arg));
  return [process.execPath, ...nodeArgs, program, ...noun];
}
