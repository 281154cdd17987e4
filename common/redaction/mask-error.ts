import { KomposeError } from '../errors.ts';
import type { Masker } from './masker.ts';

/** The same error for a log or a user, without secrets: message, stack and causes; other properties are left out. */
export function maskError(error: unknown, masker: Masker): Error {
  const message = masker.maskText(error instanceof Error ? error.message : String(error));
  const cause =
    error instanceof Error && error.cause !== undefined ? maskError(error.cause, masker) : undefined;
  const options = cause === undefined ? {} : { cause };
  const masked =
    error instanceof KomposeError
      ? new KomposeError(error.code, message, options)
      : new Error(message, options);
  if (error instanceof Error && error.stack !== undefined) masked.stack = masker.maskText(error.stack);
  return masked;
}
