import { isPrintable } from '../../common/printable.ts';
import type { Settings } from '../config.ts';
import type { Terminal } from '../terminal.ts';
import { candidatesOf, type Completion } from './completion.ts';
import { shellWords } from './shell-words.ts';
import { whatToComplete } from './what-to-complete.ts';

/** From the start of the process: nobody waits longer than a second for a Tab. */
const deadlineMs = 850;

/**
 * `kompose __complete bash WORD LINE`, `kompose __complete zsh|fish -- WORDS…`: prints what may stand at the cursor,
 * a candidate a line, within a second. Says nothing of errors: the user is in the middle of a line.
 */
export async function complete(
  argv: readonly string[],
  settings: Settings,
  terminal: Terminal,
): Promise<number> {
  try {
    const { words, offset } = typedWords(argv);
    const completion = await whatToComplete(words);
    const names = await liveNames(settings, completion);
    const candidates = candidatesOf(completion, names.filter(isPrintable)).map((word) => word.slice(offset));
    terminal.stdout(candidates.map((word) => `${word}\n`).join(''));
  } catch {
    // A damaged login or a word that is not whole yet: there is nothing to offer.
  }
  return 0;
}

/** `offset` is how much of the word under the cursor the shell keeps as it is. */
function typedWords([shell, ...args]: readonly string[]): { words: string[]; offset: number } {
  if (shell !== 'bash') return { words: args.slice(1), offset: 0 };
  const [word = '', line = ''] = args;
  const words = shellWords(line).slice(1);
  return { words, offset: keptByBash(word, words.at(-1) ?? '') };
}

/** bash ends words at `:` and `=` (COMP_WORDBREAKS) and puts candidates in place of the last piece only. Pure. */
export function keptByBash(piece: string, typed: string): number {
  const replaced = /^[:=]+$/.test(piece) ? '' : piece.replace(/^["']/, '');
  return typed.endsWith(replaced) ? typed.length - replaced.length : 0;
}

/** Empty when the controller is away or slow. */
async function liveNames(settings: Settings, completion: Completion): Promise<string[]> {
  if (completion.live === undefined) return [];
  const late = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => late.resolve([]), Math.max(0, deadlineMs - performance.now()));
  const ask = async (): Promise<string[]> => (await import('./ask-fleet.ts')).askFleet(settings, completion);
  try {
    return await Promise.race([ask().catch(() => []), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
