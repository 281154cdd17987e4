import { CommanderError, type Command } from 'commander';
import { KomposeError } from './errors.ts';
import { nearest } from './nearest.ts';
import { quoted } from './quoted.ts';

/** Of a command and of those made of it later: help and complaints as those of the other nouns. */
export function likeNoun(command: Command): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .showSuggestionAfterError()
    .configureOutput({
      outputError: (text, write) =>
        write(
          `kompose: ${text
            .replace(/^error: /, '')
            .trim()
            .replaceAll(/\s*\n\s*/g, ' ')}\n`,
        ),
      getOutHelpWidth: () => 120,
    });
}

/** Runs the verb that the words name; false if it is not one of `program`'s, or was used wrongly. Throws `usage`. */
export async function runVerb(program: Command, args: readonly string[]): Promise<boolean> {
  requireVerb(program, args);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return true;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0;
    throw error;
  }
}

function requireVerb(program: Command, [word, ...rest]: readonly string[]): void {
  const verbs = program.createHelp().visibleCommands(program);
  const names = verbs.map((verb) => verb.name());
  const noun = program.name().split(' ').at(-1);
  if (word === undefined) throw new KomposeError('usage', `${noun}: which one? ${names.join(', ')}`);
  const chosen = program.commands.find((command) => command.name() === word);
  if (chosen !== undefined && chosen.commands.length > 0 && rest.length > 0) requireVerb(chosen, rest);
  if (word.startsWith('-') || chosen !== undefined) return;
  const [meant] = nearest(word, names, 1);
  const hint = meant === undefined ? `it has ${names.join(', ')}` : `did you mean ${meant}?`;
  throw new KomposeError('usage', `${noun} has no verb ${quoted(word)}: ${hint}`);
}
