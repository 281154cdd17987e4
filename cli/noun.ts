import { Command, type Option } from 'commander';
import { KomposeError } from '../common/errors.ts';
import { nearest } from '../common/nearest.ts';
import { quoted } from '../common/quoted.ts';
import type { Call } from './call.ts';
import { notBuilt } from './not-built.ts';
import { mergeGlobals, type GlobalOptions, type TypedGlobals } from './globals.ts';
import { addGlobalOptions } from './options.ts';
import { quieten, textOr } from './parse.ts';

/** The options of all verbs; each verb names those that it takes. What was not typed is absent. */
export interface VerbOptions {
  limit?: number;
  role?: string;
  label?: readonly string[];
  host?: readonly string[];
  ttl?: number;
  uses?: number;
  name?: string;
  replace?: string;
  allow?: readonly string[];
  deny?: readonly string[];
  allowEnv?: string;
  file?: string;
  envName?: readonly string[];
  env?: Readonly<Record<string, string>>;
  detach?: true;
  yes?: true;
  key?: string;
  since?: number;
  until?: number;
  script?: true;
  format?: string;
  olderThan?: number;
  user?: string;
  stack?: string;
  command?: string;
  outcome?: string;
  type?: string;
  hook?: string;
  run?: string;
}

export interface Verb {
  /** Empty for a noun that has none. */
  readonly name: string;
  /** Its words, as commander writes them: `<host> <changes...>`. */
  readonly words?: string;
  readonly summary: string;
  readonly options?: () => readonly Option[];
  readonly isDefault?: boolean;
  /** Gives the exit code. `words` has what `words` above asks for. */
  readonly run: (call: Call, words: readonly string[], options: VerbOptions) => Promise<number>;
}

export interface Noun {
  readonly name: string;
  readonly summary: string;
  readonly verbs: readonly Verb[];
  /** Verbs of the contract that are refused by name. */
  readonly unbuilt?: readonly string[];
}

/** What the words after a noun ask for. */
export type NounInvocation =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'verb';
      readonly verb: Verb;
      readonly words: readonly string[];
      readonly options: VerbOptions;
      readonly globals: GlobalOptions;
    };

/** Pure. `before` are the global options that stood before the noun. Throws `usage`. */
export function parseNoun(noun: Noun, args: readonly string[], before: TypedGlobals): NounInvocation {
  const [first] = args;
  if (first !== undefined && !first.startsWith('-') && !hasVerb(noun, first)) throw unknownVerb(noun, first);
  const text: string[] = [];
  let chosen: { verb: Verb; command: Command } | undefined;
  const root = buildNoun(noun, text, (verb, command) => {
    chosen = { verb, command };
  });
  try {
    root.parse([...args], { from: 'user' });
  } catch (error) {
    return { kind: 'text', text: textOr(error, text) };
  }
  if (chosen === undefined) throw unknownVerb(noun, undefined);
  const { verb, command } = chosen;
  if (command.args.length > command.registeredArguments.length && !takesMany(command)) {
    throw unknownVerb(noun, command.args[0]);
  }
  const places = [before, root.opts<TypedGlobals>(), command.opts<TypedGlobals>()];
  return {
    kind: 'verb',
    verb,
    words: command.args,
    options: command.opts<VerbOptions>(),
    globals: mergeGlobals(places),
  };
}

function buildNoun(noun: Noun, text: string[], choose: (verb: Verb, command: Command) => void): Command {
  const root = addGlobalOptions(quieten(new Command(`kompose ${noun.name}`), text)).description(noun.summary);
  for (const verb of noun.verbs) {
    const command = verb.name === '' ? root : addGlobalOptions(subcommand(root, verb));
    addVerb(command, verb);
    command.action(() => choose(verb, command));
  }
  for (const name of noun.unbuilt ?? []) {
    const refuse = (): never => {
      throw notBuilt(`kompose ${noun.name} ${name}`);
    };
    root.command(name, { hidden: true }).allowUnknownOption().allowExcessArguments().action(refuse);
  }
  return root.helpCommand(false);
}

function subcommand(root: Command, { name, isDefault = false, summary }: Verb): Command {
  return root.command(name, { isDefault }).description(summary);
}

function addVerb(command: Command, { words, options, isDefault }: Verb): void {
  if (words !== undefined) command.arguments(words);
  command.optionsGroup('Options:');
  for (const option of options?.() ?? []) command.addOption(option);
  if (isDefault === true) command.allowExcessArguments();
}

function hasVerb({ verbs, unbuilt = [] }: Noun, word: string): boolean {
  return verbs.some(({ name }) => name === word || name === '') || unbuilt.includes(word);
}

function takesMany(command: Command): boolean {
  return command.registeredArguments.some(({ variadic }) => variadic);
}

function unknownVerb(noun: Noun, word: string | undefined): KomposeError {
  const verbs = noun.verbs.map(({ name }) => name);
  if (word === undefined) return new KomposeError('usage', `${noun.name}: which one? ${verbs.join(', ')}`);
  const [meant] = nearest(word, verbs, 1);
  const hint = meant === undefined ? `it has ${verbs.join(', ')}` : `did you mean ${meant}?`;
  const stack = `a stack of that name is :${noun.name}`;
  return new KomposeError('usage', `${noun.name} has no verb ${quoted(word)}: ${hint} (${stack})`);
}
