import { KomposeError } from '../common/errors.ts';

/** A word that the contract has and this version has not. */
export function notBuilt(what: string): KomposeError {
  return new KomposeError('usage', `${what} is not built yet`);
}
