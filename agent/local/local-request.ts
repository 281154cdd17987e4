import { Command, CommanderError } from 'commander';
import { parseDuration } from '../../common/durations.ts';
import { KomposeError } from '../../common/errors.ts';
import { isDatabaseCommand, parseDatabaseCommand } from '../../common/database-command.ts';
import { checkCommand, checkEnvAssignment } from '../../common/names.ts';

/** What `kompose.sh` sends: its words, and of its environment what says which hook it was called from. */
export interface LocalRequest {
  readonly words: readonly string[];
  /** The user who typed it; counts only outside a hook. */
  readonly user: string;
  readonly parentTask: string | undefined;
}

/** The words of a local command line, taken apart. */
export interface LocalOrder {
  readonly pattern: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly timeoutMs: number;
  readonly dryRun: boolean;
}

/** Parses what came over the socket. Throws `usage`. */
export function parseRequest(line: string): LocalRequest {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null)
    throw new KomposeError('usage', 'a malformed local request');
  const { words, user, parentTask } = value as Record<string, unknown>;
  if (!Array.isArray(words) || !words.every((word) => typeof word === 'string') || typeof user !== 'string') {
    throw new KomposeError('usage', 'a malformed local request');
  }
  return { words, user, parentTask: typeof parentTask === 'string' ? parentTask : undefined };
}

interface Options {
  readonly dryRun?: true;
  readonly env?: Record<string, string>;
  readonly network?: string;
  readonly timeout?: number;
}

/** `[options] <pattern> <command> [args...]`, as on every kompose command line. Throws `usage`. */
export function parseOrder(words: readonly string[]): LocalOrder {
  const program = new Command('kompose.sh')
    .argument('[words...]')
    .passThroughOptions()
    .option('-n, --dry-run', 'print the plan')
    .option('-e, --env <k=v>', 'set a variable', collectEnv, {})
    .option('--network <name>', 'set NETWORK_NAME')
    .option('--timeout <duration>', 'a deadline', parseDuration)
    .option('-q, --quiet', 'only the output')
    .option('-y, --yes', 'do not ask')
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new KomposeError('usage', error.message.replace(/^error: /, ''), { cause: error });
  }
  const options = program.opts<Options>();
  const [pattern, command, ...rest] = program.args;
  if (pattern === undefined || command === undefined) {
    throw new KomposeError('usage', 'write ./kompose.sh <stack> <command> [args...]');
  }
  const end = rest.indexOf('--');
  const ours = end < 0 ? rest : rest.slice(0, end);
  const isDryRun = options.dryRun === true || ours.includes('--dry-run');
  const args = [...ours.filter((word) => word !== '--dry-run'), ...rest.slice(ours.length)];
  if (isDatabaseCommand(command)) parseDatabaseCommand(command, args);
  return {
    pattern,
    command: checkCommand(command),
    args,
    env: options.env ?? {},
    network: options.network,
    timeoutMs: options.timeout ?? 0,
    dryRun: isDryRun,
  };
}

function collectEnv(text: string, env: Readonly<Record<string, string>>): Record<string, string> {
  const [name, value] = checkEnvAssignment(text);
  return { ...env, [name]: value };
}
