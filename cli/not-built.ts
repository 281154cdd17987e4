import { KomposeError } from '../common/errors.ts';

/** Options of section 2 of the command contract that nothing stands behind yet. */
export interface UnbuiltOptions {
  raw?: true;
}

/** A word that the contract has and this version has not. */
export function notBuilt(what: string): KomposeError {
  return new KomposeError('usage', `${what} is not built yet`);
}

/** Throws `usage` by name, rather than to do something else than what was asked. */
export function refuseUnbuiltOptions(typed: UnbuiltOptions): void {
  if (typed.raw === true) throw notBuilt('--raw');
}
