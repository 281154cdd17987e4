import { KomposeError } from '../common/errors.ts';
import { checkRaw } from '../common/raw-output.ts';
import type { Call } from './call.ts';
import type { RunOrder } from './order.ts';

/** Throws `usage` where --raw does not fit: a screen, and what is copied from it, would show secrets. */
export function checkRawOrder({ terminal }: Call, { command, isRaw, isDetached }: RunOrder): void {
  checkRaw({ command, raw: isRaw, detach: isDetached });
  if (!isRaw || !terminal.isStdoutTerminal) return;
  throw new KomposeError('usage', '--raw is for a pipe or a file: stdout is a terminal');
}
