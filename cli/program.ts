import { Command, type Option } from 'commander';
import { parseDuration } from '../common/durations.ts';
import { KomposeError } from '../common/errors.ts';
import { parsePattern } from '../common/patterns.ts';
import { quoted } from '../common/quoted.ts';
import { isNounLike, nouns, reservedNouns } from './nouns.ts';
import * as options from './options.ts';
import { toRunOrder, type Invocation, type TypedOptions } from './order.ts';
import { parseWith } from './parse.ts';

/** The words after `kompose`; without `knowsNouns` the first is always a pattern. Pure. Throws `usage`. */
export function parseArguments(argv: readonly string[], version: string, knowsNouns = true): Invocation {
  const program = buildProgram(version);
  const parsed = parseWith<TypedOptions>(program, argv);
  if (parsed.kind === 'text') return parsed;
  const { words, options: typed } = parsed;
  const [first] = words;
  if (knowsNouns && first !== undefined && isNounLike(first)) return toNoun(first, words, typed);
  if (typed.list === true) return toList(words, typed);
  return { kind: 'run', order: toRunOrder(words, typed), isLocal: typed.local === true, globals: typed };
}

function toNoun(noun: string, words: readonly string[], typed: TypedOptions): Invocation {
  const unfit = unfitForNouns.find(
    (name) => typed[name] !== undefined && !(name === 'local' && noun === 'stacks'),
  );
  if (unfit !== undefined) {
    const flag = `--${unfit.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw usage(`${flag} does not go with the noun ${quoted(noun)}; a stack of that name is :${noun}`);
  }
  if (reservedNouns.includes(noun)) {
    throw usage(`the word ${quoted(noun)} is reserved and not built yet; a stack of that name is :${noun}`);
  }
  const { host: hosts = [], label: labels = [] } = typed;
  if (noun !== 'stacks' && hosts.length + labels.length > 0) {
    throw usage(`--host and --label before a noun go with "stacks" only; a stack named so is :${noun}`);
  }
  const isLocal = typed.local === true;
  return { kind: 'noun', noun, args: words.slice(1), hosts, labels, isLocal, globals: typed };
}

function toList(
  [pattern = '', extra]: readonly string[],
  { host: hosts = [], label: labels = [], local, ...globals }: TypedOptions,
): Invocation {
  if (pattern !== '') parsePattern(pattern);
  if (extra !== undefined)
    throw usage(`--list takes one pattern, not ${quoted(extra)} as well; options stand before it`);
  return { kind: 'list', order: { pattern, hosts, labels }, isLocal: local === true, globals };
}

function usage(message: string): KomposeError {
  return new KomposeError('usage', message);
}

/** Options of a run that say nothing to a noun. */
const unfitForNouns = [
  'dryRun',
  'env',
  'network',
  'parallel',
  'batch',
  'batchWait',
  'maxFailures',
  'timeout',
  'offline',
  'detach',
  'yes',
  'raw',
  'list',
  'local',
] as const satisfies readonly (keyof TypedOptions)[];

/** All options that may stand before a pattern. */
export function programOptions(): readonly Option[] {
  return buildProgram('').options;
}

function buildProgram(version: string): Command {
  const program = new Command('kompose')
    .usage('[options] <pattern> <command> [args...]\n       kompose <noun> [verb] ...')
    .description('Runs docker compose, with hooks, on the stacks of a fleet of hosts.')
    .argument('[words...]')
    .passThroughOptions()
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .optionsGroup('Which targets:')
    .addOption(options.hostOption())
    .addOption(options.labelFilterOption())
    .option('-l, --list', 'show what the pattern matches (default everything)')
    .option('--local', "this machine's stacks root, without a controller")
    .optionsGroup('How to run:')
    .option('-n, --dry-run', 'print the plan and touch nothing (--dry-run also after the command)')
    .addOption(options.envOption())
    .addOption(options.valued('--network <name>', 'set NETWORK_NAME', options.parseName('--network')))
    .addOption(
      options.valued('--timeout <duration>', 'a deadline for each task: 500ms 3s 1m30s 2h 1d', parseDuration),
    )
    .option('--detach', "print the run's id and return; the run goes on")
    .option('--raw', 'exec and run on one target, into a pipe or file: no masking')
    .option('-y, --yes', options.confirmHelp);
  addRolling(program);
  return options.addGlobalOptions(program).addHelpText('after', helpFooter());
}

function addRolling(program: Command): void {
  const { parseCount, parseShare, parseOffline, valued } = options;
  program
    .optionsGroup('How to go through the fleet (default: all hosts at once):')
    .addOption(valued('--parallel <n>', 'at most N tasks at a time, fleet-wide', parseCount('--parallel', 1)))
    .addOption(valued('--batch <n>', 'N (or N%) hosts, then the next ones', parseShare('--batch', 1)))
    .addOption(valued('--batch-wait <duration>', 'pause between those groups', parseDuration))
    .addOption(
      valued('--max-failures <n>', 'stop once more than N (or N%) failed', parseShare('--max-failures', 0)),
    )
    .addOption(
      valued('--offline <what>', 'hosts that are away: fail (default), skip, wait=DURATION', parseOffline),
    );
}

function helpFooter(): string {
  const width = Math.max(...Object.keys(nouns).map((noun) => noun.length));
  const lines = Object.entries(nouns).map(([noun, { summary }]) => `  ${noun.padEnd(width)}  ${summary}`);
  return `
Patterns:
  sexy              that stack on every host         "*"           every stack everywhere
  "prod-1:*"        every stack of a host            "*,!*:proxy"  all but one
  "prod-*:{a,b}"    globs: * ? [abc] [!abc] {a,b}    :hosts        a stack that is named like a noun

Nouns (kompose <noun> --help tells more):
${lines.join('\n')}

Examples:
  kompose "*" up -d                      kompose -H prod-1 sexy restart
  kompose -n sexy up -d                  kompose --timeout 5m "prod-*:*" pull

Exit codes: 0 well, 1 a task failed, 2 usage, 3 nothing matched, 4 a host was not reached, 5 not allowed,
6 no controller, 130 cancelled; exec and run on one target: the command's own.`;
}
