import { isDatabaseCommand, parseDatabaseCommand } from '../common/database-command.ts';
import { KomposeError } from '../common/errors.ts';
import { checkCommand } from '../common/names.ts';
import { nearest } from '../common/nearest.ts';
import { parsePattern } from '../common/patterns.ts';
import { quoted } from '../common/quoted.ts';
import type { TypedGlobals } from './globals.ts';
import { isNounLike, nouns } from './nouns.ts';
import type { Offline, Share } from './options.ts';

/** What is asked of the fleet, in the words of section 2 of the command contract. */
export interface RunOrder {
  readonly pattern: string;
  readonly command: string;
  /** Byte for byte, but for the `--dry-run` that was kompose's. */
  readonly args: readonly string[];
  readonly hosts: readonly string[];
  readonly labels: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly isDryRun: boolean;
  /** 0 means none. */
  readonly timeoutMs: number;
  readonly rollout: RolloutOrder;
  readonly offline: Offline;
  readonly isDetached: boolean;
  /** --raw: no masking. */
  readonly isRaw: boolean;
  /** -y: do not ask. */
  readonly isConfirmed: boolean;
}

/** How to go through the fleet. */
export interface RolloutOrder {
  /** Tasks at a time; 0 means no limit. */
  readonly parallel: number;
  readonly batch: Share | undefined;
  readonly batchWaitMs: number;
  readonly maxFailures: Share | undefined;
}

export interface ListOrder {
  /** Empty means everything. */
  readonly pattern: string;
  readonly hosts: readonly string[];
  readonly labels: readonly string[];
}

/** What the words of a command line ask for. */
export type Invocation =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'run';
      readonly order: RunOrder;
      readonly isLocal: boolean;
      readonly globals: TypedGlobals;
    }
  | {
      readonly kind: 'list';
      readonly order: ListOrder;
      readonly isLocal: boolean;
      readonly globals: TypedGlobals;
    }
  | {
      readonly kind: 'noun';
      readonly noun: string;
      readonly args: readonly string[];
      readonly hosts: readonly string[];
      readonly labels: readonly string[];
      readonly isLocal: boolean;
      readonly globals: TypedGlobals;
    };

/** As commander gives them: what was not typed is absent. */
export interface TypedOptions extends TypedGlobals {
  raw?: true;
  host?: string[];
  label?: string[];
  env?: Record<string, string>;
  network?: string;
  parallel?: number;
  batch?: Share;
  batchWait?: number;
  maxFailures?: Share;
  offline?: Offline;
  dryRun?: true;
  timeout?: number;
  detach?: true;
  yes?: true;
  list?: true;
  local?: true;
}

/**
 * What is asked for where no option is typed before the pattern, as for most commands: they need not wait for what parses
 * options. Undefined for anything else. Pure. Throws `usage`.
 */
export function plainRun(argv: readonly string[], knowsNouns: boolean): Invocation | undefined {
  const [first] = argv;
  if (first === undefined || first.startsWith('-') || (knowsNouns && isNounLike(first))) return undefined;
  return { kind: 'run', order: toRunOrder(argv, noOptions), isLocal: false, globals: noOptions };
}

/** As commander gives it. */
const noOptions: TypedOptions = { color: true };

/** Throws `usage`. */
export function toRunOrder([pattern, command, ...words]: readonly string[], typed: TypedOptions): RunOrder {
  if (pattern === undefined)
    throw usage('nothing to do: kompose <pattern> <command>, or a noun; see kompose --help');
  parsePattern(pattern);
  if (command === undefined) throw missingCommand(pattern);
  checkCommand(command);
  const { args, isDryRun } = takeDryRun(words);
  if (isDatabaseCommand(command)) parseDatabaseCommand(command, args);
  return {
    pattern,
    command,
    args,
    hosts: typed.host ?? [],
    labels: typed.label ?? [],
    env: typed.env ?? {},
    network: typed.network,
    isDryRun: isDryRun || typed.dryRun === true,
    timeoutMs: typed.timeout ?? 0,
    rollout: {
      parallel: typed.parallel ?? 0,
      batch: typed.batch,
      batchWaitMs: typed.batchWait ?? 0,
      maxFailures: typed.maxFailures,
    },
    offline: typed.offline ?? 'fail',
    isDetached: typed.detach === true,
    isRaw: typed.raw === true,
    isConfirmed: typed.yes === true,
  };
}

/** `--dry-run` is kompose's wherever it stands before a `--`. */
function takeDryRun(words: readonly string[]): { args: string[]; isDryRun: boolean } {
  const end = words.indexOf('--');
  const ours = end < 0 ? words : words.slice(0, end);
  const kept = ours.filter((word) => word !== '--dry-run');
  return { args: [...kept, ...words.slice(ours.length)], isDryRun: kept.length < ours.length };
}

function missingCommand(pattern: string): KomposeError {
  const [meant] = nearest(pattern, Object.keys(nouns), 1);
  const hint = meant === undefined ? '' : `; did you mean kompose ${meant}?`;
  return usage(`no command for ${quoted(pattern)}: write one after it, such as ps or up -d${hint}`);
}

function usage(message: string): KomposeError {
  return new KomposeError('usage', message);
}
