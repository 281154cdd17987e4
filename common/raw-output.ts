import { KomposeError } from './errors.ts';

interface RawOrder {
  readonly command: string;
  readonly raw: boolean;
  readonly detach?: boolean;
}

/** Throws `usage` where --raw says nothing: it is for whoever reads what `exec` or `run` writes on one target. Pure. */
export function checkRaw({ command, raw, detach }: RawOrder, targetCount = 1): void {
  if (!raw) return;
  if (command !== 'exec' && command !== 'run') throw refused(`is for exec and run, not for ${command}`);
  if (detach === true) throw refused('keeps no output, so it cannot stand with --detach');
  if (targetCount > 1) throw refused(`takes one target, not ${targetCount}`);
}

function refused(why: string): KomposeError {
  return new KomposeError('usage', `--raw ${why}`);
}
