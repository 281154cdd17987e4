import { commandTraits } from '../compose-command.ts';
import { parseGlob } from '../glob.ts';
import { quoted } from '../quoted.ts';
import { globContext, splitTerms } from '../terms.ts';

/** Which commands a rule means. */
export interface CommandList {
  readonly matches: (command: string) => boolean;
  /** It holds a bare `*`: every command with every argument, also those that reach beyond the stack. */
  readonly isWhole: boolean;
}

/** What `operator` may do beyond reading. */
const changingCommands: ReadonlySet<string> = new Set([
  'up',
  'down',
  'start',
  'stop',
  'restart',
  'build',
  'pull',
  'push',
  'create',
  'kill',
  'pause',
  'unpause',
  'rm',
  'scale',
  'wait',
  'db:export',
  'db:cleanup',
]);

const groups: Readonly<Record<string, (command: string) => boolean>> = {
  '@read': (command) => commandTraits(command, []).reads,
  '@change': (command) => changingCommands.has(command),
};

/** A comma list of names, globs, `@read`, `@change` and `!` of each. Throws `usage`. */
export function parseCommandList(text: string): CommandList {
  const context = globContext('list of commands', text);
  const included: ((command: string) => boolean)[] = [];
  const excluded: ((command: string) => boolean)[] = [];
  let isWhole = false;
  for (const { piece, isExcluded } of splitTerms(text, context)) {
    const group = groups[piece.text];
    if (group === undefined && piece.text.startsWith('@')) {
      context.fail(`there is no group ${quoted(piece.text)}; write ${Object.keys(groups).join(' or ')}`);
    }
    isWhole ||= piece.text === '*' && !isExcluded;
    (isExcluded ? excluded : included).push(group ?? parseGlob(piece.text, piece.offset, context).matches);
  }
  const isOne = (tests: typeof included, command: string): boolean => tests.some((test) => test(command));
  return {
    isWhole,
    matches: (command) => (included.length === 0 || isOne(included, command)) && !isOne(excluded, command),
  };
}

/** Another word of compose for the same command counts as that command. */
export function commandProper(command: string): string {
  return command === 'convert' ? 'config' : command;
}
