import { Command, CommanderError } from 'commander';
import { KomposeError } from '../common/errors.ts';
import { createLog } from '../common/log.ts';
import { checkHostName, checkLabel } from '../common/names.ts';
import { version } from '../common/version.ts';
import { readEnvironment } from './config.ts';
import { joinFleet } from './join.ts';
import { serveAgent } from './serve.ts';

/**
 * `kompose-agent`, and `kompose agent …`. Returns the exit code. Throws KomposeError for what the user is to be
 * told.
 */
export async function main(args: readonly string[]): Promise<number> {
  const program = agentProgram();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

function agentProgram(): Command {
  const program = new Command('kompose agent').description('the agent of this Docker host').version(version);
  program
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error/, 'kompose')) });
  program
    .command('join')
    .description('make this machine a host of a fleet')
    .argument('<token>', 'from: kompose tokens create --role agent')
    .requiredOption('--name <name>', "the host's name, unique in the fleet")
    .requiredOption('--stacks <dir>', 'the folder that holds the stacks')
    .option('--label <k=v>', 'a label; repeatable', collectLabel, {})
    .action(join);
  program.command('serve').description('serve this host, in the foreground').action(serve);
  for (const name of ['doctor', 'install']) {
    program.command(name, { hidden: true }).action(() => {
      throw new KomposeError('usage', `kompose agent ${name} is not built yet`);
    });
  }
  return program;
}

interface JoinOptions {
  readonly name: string;
  readonly stacks: string;
  readonly label: Readonly<Record<string, string>>;
}

function collectLabel(text: string, labels: Readonly<Record<string, string>>): Record<string, string> {
  const [key, value] = checkLabel(text);
  return { ...labels, [key]: value };
}

async function join(token: string, { name, stacks, label }: JoinOptions): Promise<void> {
  const request = { token, name: checkHostName(name), stacks, labels: label };
  const config = await joinFleet(request, readEnvironment().folder);
  process.stderr.write(`joined as ${config.name}; now run: kompose agent serve\n`);
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
  await serveAgent(readEnvironment(), onConnected, log, stop.signal);
}
