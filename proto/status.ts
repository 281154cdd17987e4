import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { printable } from '../common/printable.ts';
import { errorTraits, isErrorCode, isSystemError, KomposeError } from '../common/errors.ts';

const codeKey = 'kompose-code';
const longestDetails = 4_000;

/** What a server answers instead of a result. Of a bug the peer hears nothing but that it was one. */
export function toStatus(thrown: unknown): { code: number; details: string; metadata: Metadata } {
  const error = KomposeError.from(thrown);
  const metadata = new Metadata();
  metadata.set(codeKey, error.code);
  const details =
    error.code === 'internal' ? 'internal error of the controller; its log tells more' : error.message;
  return { code: errorTraits[error.code].grpcStatus, details: cut(details), metadata };
}

/** One line. It travels in headers, which clients take 16 KiB of, and encoded; it may quote what it is about. */
function cut(details: string): string {
  const text = printable(details);
  return text.length > longestDetails ? `${text.slice(0, longestDetails).toWellFormed()}…` : text;
}

/**
 * What a client makes of a failed call. A KomposeError of the server comes back as it was; a status of gRPC's
 * own becomes the error that its cause means.
 */
export function fromStatus(thrown: unknown, peer: string): KomposeError {
  if (thrown instanceof KomposeError || !isServiceError(thrown)) return KomposeError.from(thrown);
  const code = thrown.metadata?.get(codeKey)[0];
  if (typeof code === 'string' && isErrorCode(code)) {
    return new KomposeError(code, thrown.details, { cause: thrown });
  }
  return ownStatus(thrown, peer);
}

function ownStatus(error: ServiceError, peer: string): KomposeError {
  const because = { cause: error };
  switch (error.code) {
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return new KomposeError('controller-unreachable', unreachable(peer, error.details), because);
    case status.CANCELLED:
      return new KomposeError('controller-unreachable', `the call to ${peer} was cut off`, because);
    case status.UNIMPLEMENTED:
      return new KomposeError(
        'protocol',
        `the controller at ${peer} is older and does not know this call`,
        because,
      );
    case status.RESOURCE_EXHAUSTED:
      return new KomposeError(
        'too-many-requests',
        `the controller at ${peer} refused: ${error.details}`,
        because,
      );
    default:
      return new KomposeError('failed', `the controller at ${peer} answered: ${error.details}`, because);
  }
}

function unreachable(peer: string, details: string): string {
  const why = distrust(details);
  if (why !== undefined) return `the controller at ${peer} is not to be trusted: ${why}`;
  return `cannot reach the controller at ${peer}: ${shortCause(details)}. Is it running, and the address right?`;
}

/** What a person can use of the text of a failed connection. */
export function shortCause(details: string): string {
  const known = /(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ECONNRESET|EAI_AGAIN)/.exec(
    details,
  );
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host name',
    EAI_AGAIN: 'the host name cannot be looked up now',
    EHOSTUNREACH: 'no route to host',
    ENETUNREACH: 'network unreachable',
    ETIMEDOUT: 'no answer',
    ECONNRESET: 'connection reset',
  };
  if (known?.[1] !== undefined) return words[known[1]] ?? known[1];
  return distrust(details) ?? details.split('\n')[0] ?? details;
}

/** What a person can do about a certificate that was not taken; undefined where it was no certificate's fault. */
function distrust(details: string): string | undefined {
  if (!/certificate/i.test(details)) return undefined;
  if (/not yet valid|has expired/i.test(details)) {
    const now = new Date().toISOString();
    return `its certificate is not valid at this moment, which is ${now} by this machine's clock: is that so?`;
  }
  return (
    'its certificate is not one of the fleet that this identity belongs to. Where the CA was changed meanwhile, ' +
    'ask an admin for a new token'
  );
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown && !isSystemError(thrown, 'ERR');
}
