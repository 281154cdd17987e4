import { CommanderError, type Command } from 'commander';
import { KomposeError } from '../common/errors.ts';

/** A text to print (help, version), or what was typed. */
export type Parsed<Options> =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'words'; readonly words: readonly string[]; readonly options: Options };

/**
 * Lets commander read `argv` without printing or exiting: `Options` must be what the options of `command` give.
 * Throws `usage` with commander's message on one line.
 */
export function parseWith<Options extends object>(
  command: Command,
  argv: readonly string[],
): Parsed<Options> {
  const text: string[] = [];
  quieten(command, text);
  try {
    command.action(() => {}).parse([...argv], { from: 'user' });
    return { kind: 'words', words: command.args, options: command.opts<Options>() };
  } catch (error) {
    return { kind: 'text', text: textOr(error, text) };
  }
}

/** The help or version that commander printed; any other end is thrown. */
export function textOr(error: unknown, text: readonly string[]): string {
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode === 0) return text.join('');
  throw new KomposeError('usage', oneLine(error.message), { cause: error });
}

/** Collects what commander prints in `text`, and makes it throw where it would exit. */
export function quieten(command: Command, text: string[]): Command {
  return command
    .exitOverride()
    .configureOutput({
      writeOut: (piece) => text.push(piece),
      writeErr: () => {},
      outputError: () => {},
      getOutHelpWidth: () => 120,
    })
    .showSuggestionAfterError();
}

/** `error: unknown option '--hots'\n(Did you mean --host?)` */
function oneLine(message: string): string {
  return message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
}
