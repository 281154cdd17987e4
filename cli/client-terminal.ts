import type { ClientTerminal } from '../common/client-terminal.ts';
import { takesTerminal } from '../common/terminal-command.ts';
import type { Call } from './call.ts';
import type { RunOrder } from './order.ts';

/** Ours, for a command that runs on one; JSON is no screen. */
export function terminalFor(
  { globals, settings, terminal }: Call,
  { command, args }: RunOrder,
): ClientTerminal | undefined {
  const { size } = terminal;
  if (size === undefined || globals.output === 'json' || !takesTerminal(command, args)) return undefined;
  return { ...size, term: settings.term };
}
