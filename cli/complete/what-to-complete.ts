import { Command, type Option } from 'commander';
import { addGlobalOptions } from '../options.ts';
import type { Noun, Verb } from '../noun.ts';
import { nouns } from '../nouns.ts';
import { programOptions } from '../program.ts';
import { commands, serviceCommands } from './commands.ts';
import type { Completion, Live } from './completion.ts';

/** Where in the line the cursor is. */
interface Place {
  readonly current: string;
  readonly options: Map<string, string[]>;
}

/** `words` are those after `kompose`; the last is under the cursor. */
export async function whatToComplete(words: readonly string[]): Promise<Completion> {
  const place: Place = { current: words.at(-1) ?? '', options: new Map() };
  const before = words.slice(0, -1);
  const known = programOptions();
  const { rest, open } = takeOptions(before, known, place);
  if (open !== undefined) return valueOf(open, place);
  const [first, command] = rest;
  if (first === undefined) return place.current.startsWith('-') ? flags(known, place) : firstWord(place);
  if (Object.hasOwn(nouns, first)) return nounWords(first, rest.slice(1), place);
  if (command === undefined) return fixed(commands, place);
  if (place.current.startsWith('-')) return fixed(['--dry-run'], place);
  return serviceCommands.has(command) ? live({ kind: 'services', pattern: first }, place) : fixed([], place);
}

/** Options up to the first other word; `open` is one whose value is under the cursor. */
function takeOptions(
  words: readonly string[],
  known: readonly Option[],
  { options }: Place,
): { rest: readonly string[]; open: Option | undefined } {
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || word === '--') break;
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const name = equals < 0 ? word : word.slice(0, equals);
    const option = known.find(({ short, long }) => name === short || name === long);
    if (option?.required !== true) continue;
    const value = equals < 0 ? words[++at] : word.slice(equals + 1);
    if (value === undefined) return { rest: [], open: option };
    const long = option.long ?? name;
    options.set(long, [...(options.get(long) ?? []), value]);
  }
  return { rest: words.slice(words[at] === '--' ? at + 1 : at), open: undefined };
}

/** A pattern's last term, or a noun. Targets with their host only once something is typed: there are many. */
function firstWord(place: Place): Completion {
  const asked = list(place.current);
  const words = asked.lead === '' ? Object.keys(nouns) : [];
  return { ...asked, words, live: { kind: 'targets' }, options: place.options };
}

async function nounWords(word: string, words: readonly string[], place: Place): Promise<Completion> {
  const noun = await nouns[word]?.load?.();
  if (noun === undefined)
    return words.length === 0 ? fixed(programVerbs[word] ?? [], place) : fixed([], place);
  const named = noun.verbs.find(({ name }) => name === words[0] && name !== '');
  const verb = named ?? noun.verbs.find(({ name }) => name === '');
  const globals = addGlobalOptions(new Command()).options;
  const known = [...globals, ...(verb?.options?.() ?? [])];
  const { rest, open } = takeAll(named === undefined ? words : words.slice(1), known, place);
  if (open !== undefined) return valueOf(open, place);
  if (place.current.startsWith('-')) return flags(known, place);
  if (verb === undefined) return fixed(words.length === 0 ? noun.verbs.map(({ name }) => name) : [], place);
  return verbWord(noun, verb, rest.length, place);
}

/** The verbs of nouns that are programs of their own. */
const programVerbs: Readonly<Record<string, readonly string[]>> = {
  agent: ['join', 'trust', 'serve', 'doctor', 'install'],
  controller: ['init', 'serve', 'backup', 'restore', 'recover', 'address', 'ca', 'install'],
};

/** After a verb, options may stand between its words. */
function takeAll(
  words: readonly string[],
  known: readonly Option[],
  place: Place,
): { rest: readonly string[]; open: Option | undefined } {
  const rest: string[] = [];
  for (let left = words; left.length > 0;) {
    const taken = takeOptions(left, known, place);
    if (taken.open !== undefined) return { rest, open: taken.open };
    rest.push(...taken.rest.slice(0, 1));
    left = taken.rest.slice(1);
  }
  return { rest, open: undefined };
}

/** The `at`th word of a verb, by what its help calls it. */
function verbWord({ name }: Noun, verb: Verb, at: number, place: Place): Completion {
  const word = (verb.words ?? '').split(' ')[at] ?? '';
  switch (word) {
    case '<host>':
      return live({ kind: 'hosts' }, place);
    case '[pattern]':
      return { ...list(place.current), words: [], live: { kind: 'targets' }, options: place.options };
    case '<shell>':
      return fixed(['bash', 'zsh', 'fish'], place);
    case '<id>':
      return live({ kind: name === 'tokens' ? 'tokens' : 'runs' }, place);
    case '<name>':
      if (name === 'roles') return live({ kind: 'roles' }, place);
      return verb.name === 'add' ? fixed([], place) : live({ kind: 'users' }, place);
    case '<role>':
      return live({ kind: 'roles' }, place);
    default:
      return fixed([], place);
  }
}

function valueOf({ long, argChoices }: Option, place: Place): Completion {
  switch (long) {
    case '--host':
      return { ...list(place.current), words: [], live: { kind: 'hosts' }, options: place.options };
    case '--label':
      return live({ kind: 'labels' }, place);
    case '--role':
      return live({ kind: 'roles' }, place);
    case '--context':
      return live({ kind: 'contexts' }, place);
    case '--output':
      return fixed(['auto', 'live', 'plain', 'json'], place);
    case '--offline':
      return fixed(['fail', 'skip', 'wait='], place);
    default:
      return fixed(argChoices ?? [], place);
  }
}

function flags(known: readonly Option[], place: Place): Completion {
  const names = known.flatMap(({ short, long }) => (place.current.startsWith('--') ? [long] : [long, short]));
  return fixed([...names.filter((name) => name !== undefined), '--help'], place);
}

function fixed(words: readonly string[], { current, options }: Place): Completion {
  return { lead: '', typed: current, words, live: undefined, options };
}

function live(what: Live, place: Place): Completion {
  return { ...fixed([], place), live: what };
}

/** The last term of a comma list, without its `!`. */
function list(current: string): Pick<Completion, 'lead' | 'typed'> {
  const lead = /^(?:.*,)?!?/s.exec(current)?.[0] ?? '';
  return { lead, typed: current.slice(lead.length) };
}
