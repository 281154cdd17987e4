import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { KomposeError } from '../common/errors.ts';
import { nearest } from '../common/nearest.ts';
import { version } from '../common/version.ts';
import type { Call } from './call.ts';
import { readSettings, type Settings } from './config.ts';
import { hasContext } from './contexts.ts';
import { nouns } from './nouns.ts';
import { notBuilt } from './not-built.ts';
import { mergeGlobals, type GlobalOptions, type TypedGlobals } from './globals.ts';
import { printable } from '../common/printable.ts';
import { stackLines } from './output/stack-lines.ts';
import type { Style } from './output/style.ts';
import { plainRun, type Invocation } from './order.ts';
import { parseScriptCall } from './script-call.ts';
import { Terminal } from './terminal.ts';

/** What a program that is also a noun (`kompose agent …`) is told of the options before its name. */
export interface ProgramGlobals {
  readonly output: 'plain' | 'json';
  readonly color: boolean;
  readonly quiet: boolean;
}

/** `kompose-agent` or `kompose-controller`; gives the exit code. */
export interface Program {
  main(args: string[], globals: ProgramGlobals): Promise<number>;
}

export type Programs = Readonly<Record<'agent' | 'controller', () => Promise<Program>>>;

/** The program `kompose`: `argv` are the words after its name. Prints failures, gives the exit code. */
export async function main(argv: readonly string[], programs: Programs): Promise<number> {
  const settings = readSettings(process.env);
  const terminal = new Terminal(process);
  const [first, ...rest] = argv;
  if (first === '__complete') {
    return (await import('./complete/complete.ts')).complete(rest, settings, terminal);
  }
  try {
    await using atEnd = new AsyncDisposableStack();
    const surroundings = { settings, terminal, atEnd };
    refuseBrokenText(argv);
    if (first === 'agent' && rest[0] === 'chain') return await runScript(rest.slice(1), surroundings);
    return await run(await understand(argv), surroundings, programs);
  } catch (error) {
    return report(error, settings, terminal);
  }
}

/** Without `knowsNouns` the first word is always a pattern. Throws `usage`. */
async function understand(argv: readonly string[], knowsNouns = true): Promise<Invocation> {
  const plain = plainRun(argv, knowsNouns);
  if (plain !== undefined) return plain;
  return (await import('./program.ts')).parseArguments(argv, version, knowsNouns);
}

/** What a command runs in. */
interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
  /** Done once the command has ended, however it did. */
  readonly atEnd: AsyncDisposableStack;
}

async function run(asked: Invocation, surroundings: Surroundings, programs: Programs): Promise<number> {
  if (asked.kind === 'text') return print(surroundings.terminal, asked.text);
  if (asked.kind === 'noun') return runNoun(asked, surroundings, programs);
  const call = newCall(surroundings, mergeGlobals([asked.globals]), asked.isLocal);
  if (asked.kind === 'list') return (await import('./commands/list.ts')).list(call, asked.order);
  const root = await call.findStacksRoot();
  if (root !== undefined) return (await import('./commands/local.ts')).runLocal(call, asked.order, root);
  const { run: runOnFleet } = await import('./commands/run.ts');
  return runOnFleet(call, asked.order).catch((error: unknown) => {
    throw withNearestNoun(error, asked.order.pattern);
  });
}

/** `kompose.sh` in a stacks root, which calls us as `agent chain --stacks ROOT [--socket PATH --name HOST] -- WORDS`. */
async function runScript(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { place, argv } = parseScriptCall(words);
  const asked = await understand(argv, false);
  if (asked.kind === 'text') return print(surroundings.terminal, asked.text);
  if (asked.kind === 'noun') throw new Error('kompose.sh has no nouns');
  const globals = mergeGlobals([asked.globals]);
  const settings = { ...surroundings.settings, hostName: place.agent?.name };
  const call = {
    ...newCall({ ...surroundings, settings }, globals, true),
    findStacksRoot: async () => place.root,
  };
  return (await import('./commands/script.ts')).script(call, asked, place);
}

/** A mistyped noun looks like a pattern that matches nothing. */
function withNearestNoun(thrown: unknown, pattern: string): unknown {
  const error = KomposeError.from(thrown);
  const [noun] = error.code === 'not-found' ? nearest(pattern, Object.keys(nouns), 1) : [];
  if (noun === undefined) return thrown;
  return new KomposeError('not-found', `${error.message}; or did you mean kompose ${noun}?`, {
    cause: thrown,
  });
}

/**
 * Node turns what is not UTF-8 into U+FFFD before we see it, and text is all that the wire carries: better refused
 * than changed. Throws `usage`.
 */
function refuseBrokenText(argv: readonly string[]): void {
  if (!argv.some((argument) => argument.includes('\uFFFD'))) return;
  const raw = readRawArguments();
  if (raw === undefined || isUtf8(raw)) return;
  throw new KomposeError(
    'usage',
    'an argument is not valid UTF-8: give such bytes in a file, or through stdin',
  );
}

/** The command line as the kernel has it; undefined where it does not tell. */
function readRawArguments(): Buffer | undefined {
  try {
    return readFileSync('/proc/self/cmdline');
  } catch {
    return undefined;
  }
}

/**
 * The stacks root of a command that needs no controller: with --local, or where no controller is configured and the
 * current folder (or KOMPOSE_STACKS) is a stacks root.
 */
async function localRoot(
  isLocal: boolean,
  { controller, context }: GlobalOptions,
  settings: Settings,
): Promise<string | undefined> {
  const isConfigured = [controller, context, settings.controller].some((each) => each !== undefined);
  if (!isLocal && (isConfigured || hasContext(settings.userFolder))) return undefined;
  const { findStacksRoot } = await import('./commands/local.ts');
  return findStacksRoot(settings.stacks, isLocal);
}

async function runNoun(
  { noun: word, args, hosts, labels, isLocal, globals }: Invocation & { kind: 'noun' },
  surroundings: Surroundings,
  programs: Programs,
): Promise<number> {
  const { settings, terminal } = surroundings;
  if (word === 'agent' || word === 'controller') {
    const program = await programs[word]();
    return program.main([...args], programGlobals(globals, settings, terminal));
  }
  const noun = await nouns[word]?.load?.();
  if (noun === undefined) throw notBuilt(`kompose ${word}`);
  const { parseNoun } = await import('./noun.ts');
  const asked = parseNoun(noun, args, globals);
  if (asked.kind === 'text') return print(terminal, asked.text);
  const { verb, words, options } = asked;
  const filter = { host: [...hosts, ...(options.host ?? [])], label: [...labels, ...(options.label ?? [])] };
  return verb.run(newCall(surroundings, asked.globals, isLocal), words, { ...options, ...filter });
}

function newCall(
  { settings, terminal, atEnd }: Surroundings,
  globals: GlobalOptions,
  isLocal: boolean,
): Call {
  terminal.endWithReader();
  const warn = (text: string): void => terminal.stderr(`kompose: ${printable(text)}\n`);
  return {
    settings,
    globals,
    terminal,
    style: styleOf(globals, settings, terminal),
    findStacksRoot: () => localRoot(isLocal, globals, settings),
    connect: async () =>
      (await import('./connect.ts')).connect(settings, globals, warn, (work) => atEnd.defer(work)),
  };
}

function styleOf({ quiet, color }: GlobalOptions, settings: Settings, terminal: Terminal): Style {
  const isWanted = color && !settings.isColourUnwanted && settings.term !== 'dumb';
  return {
    quiet,
    colour: { stdout: isWanted && terminal.isStdoutTerminal, stderr: isWanted && terminal.isStderrTerminal },
    onTerminal: { stdout: terminal.isStdoutTerminal, stderr: terminal.isStderrTerminal },
    sharedTerminal: terminal.isStdoutTerminal && terminal.isStderrTerminal,
  };
}

function programGlobals(typed: TypedGlobals, settings: Settings, terminal: Terminal): ProgramGlobals {
  const globals = mergeGlobals([typed]);
  const output = globals.output === 'json' ? 'json' : 'plain';
  const { quiet } = globals;
  return { output, quiet, color: styleOf(globals, settings, terminal).colour.stderr };
}

function print(terminal: Terminal, text: string): number {
  terminal.endWithReader();
  terminal.stdout(text);
  return 0;
}

/** One line on stderr; the stack of a bug only for those who ask. */
function report(thrown: unknown, { isDebugging }: Settings, terminal: Terminal): number {
  const error = KomposeError.from(thrown);
  const isBug = error.code === 'internal' && error.cause !== undefined;
  const hint = isBug && !isDebugging ? ' (a bug; KOMPOSE_DEBUG=1 shows the stack)' : '';
  terminal.stderr(`kompose: ${printable(error.message)}${hint}\n`);
  if (isDebugging) terminal.stderr(stackLines(thrown));
  return error.exitCode;
}
