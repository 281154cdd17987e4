import { KomposeError } from './errors.ts';
import { nearest } from './nearest.ts';
import { quoted } from './quoted.ts';

/** How a dump is kept; also the end of its name. */
export const dumpFormats = ['sql', 'sql.gz', 'sql.zst'] as const;
export type DumpFormat = (typeof dumpFormats)[number];

/** What the words of a database command ask for (section 7 of the command contract). */
export type DatabaseOrder =
  | { readonly kind: 'export'; readonly format: DumpFormat }
  /** `file` as typed; undefined means the newest dump. */
  | { readonly kind: 'import'; readonly file: string | undefined; readonly inPlace: boolean }
  | { readonly kind: 'cleanup'; readonly keep: number };

/** Option by name; a flag's value is empty. */
type Options = ReadonlyMap<string, string>;

interface Grammar {
  readonly usage: string;
  /** Options that take a value. */
  readonly valued: readonly string[];
  readonly flags: readonly string[];
  readonly takesFile: boolean;
  order(options: Options, file: string | undefined): DatabaseOrder;
}

const grammars = {
  'db:export': {
    usage: 'db:export [--format sql|sql.gz|sql.zst]',
    valued: ['--format'],
    flags: [],
    takesFile: false,
    order: (options) => ({ kind: 'export', format: parseFormat(options.get('--format') ?? 'sql') }),
  },
  'db:import': {
    usage: 'db:import [FILE] [--in-place]',
    valued: [],
    flags: ['--in-place'],
    takesFile: true,
    order: (options, file) => ({ kind: 'import', file, inPlace: options.has('--in-place') }),
  },
  'db:cleanup': {
    usage: 'db:cleanup [--keep N]',
    valued: ['--keep'],
    flags: [],
    takesFile: false,
    order: (options) => ({ kind: 'cleanup', keep: parseKeep(options.get('--keep') ?? '1') }),
  },
} satisfies Record<string, Grammar>;

/** Whether a command is for databases and not for docker compose. */
export function isDatabaseCommand(command: string): boolean {
  return command.startsWith('db:');
}

/** Pure; the same for client, controller and agent. Throws `usage` with one line that tells what is allowed. */
export function parseDatabaseCommand(command: string, args: readonly string[]): DatabaseOrder {
  const grammar = grammarOf(command);
  const { options, files } = readWords(command, args, grammar);
  const [file, extra] = files;
  const unwanted = grammar.takesFile ? extra : file;
  if (unwanted !== undefined) throw usage(command, `does not take ${quoted(unwanted)}`);
  if (file === '') throw usage(command, 'got an empty name of a file');
  return grammar.order(options, file);
}

function grammarOf(command: string): Grammar {
  const found = Object.entries(grammars).find(([name]) => name === command)?.[1];
  if (found !== undefined) return found;
  const [meant] = nearest(command, Object.keys(grammars), 1);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  const known = Object.keys(grammars).join(', ');
  throw new KomposeError('usage', `there is no command ${quoted(command)}, only ${known}${hint}`);
}

/** GNU style: options anywhere, `--name value` or `--name=value`, everything after `--` is a file. */
function readWords(
  command: string,
  args: readonly string[],
  { valued, flags }: Grammar,
): { options: Options; files: string[] } {
  const options = new Map<string, string>();
  const files: string[] = [];
  const words = args.values();
  for (const word of words) {
    if (word === '--') files.push(...words);
    else if (!word.startsWith('-') || word === '-') files.push(word);
    else {
      const [name = '', ...rest] = word.split('=');
      const typed = rest.length === 0 ? undefined : rest.join('=');
      if (valued.includes(name)) options.set(name, valueOf(command, name, typed ?? words.next().value));
      else if (flags.includes(name) && typed === undefined) options.set(name, '');
      else throw usage(command, `does not know ${quoted(word)}`);
    }
  }
  return { options, files };
}

function valueOf(command: string, name: string, value: string | undefined): string {
  if (value === undefined) throw usage(command, `needs a value after ${name}`);
  return value;
}

function parseFormat(word: string): DumpFormat {
  const format = dumpFormats.find((each) => each === word);
  if (format === undefined) throw usage('db:export', `cannot write the format ${quoted(word)}`);
  return format;
}

function parseKeep(word: string): number {
  const keep = /^\d{1,9}$/.test(word) ? Number(word) : undefined;
  if (keep === undefined) throw usage('db:cleanup', `needs a number after --keep, not ${quoted(word)}`);
  return keep;
}

function usage(command: keyof typeof grammars | (string & {}), problem: string): KomposeError {
  return new KomposeError('usage', `${command} ${problem}; usage: ${grammarOf(command).usage}`);
}
