/**
 * The closed list of what a user may be told went wrong. A failed task is not among them: the outcome of a
 * task is data (see `task-event.ts`).
 */
export type ErrorCode =
  | 'usage'
  | 'not-found'
  | 'unreachable'
  | 'denied'
  | 'unauthenticated'
  | 'controller-unreachable'
  | 'conflict'
  | 'protocol'
  | 'unsupported'
  | 'unavailable'
  | 'too-many-requests'
  | 'failed'
  | 'internal';

interface ErrorTraits {
  /** Section 3 of the command contract. */
  readonly exitCode: number;
  /** The gRPC status code's number, as in https://grpc.io/docs/guides/status-codes/. */
  readonly grpcStatus: number;
  /** The same call may succeed later, unchanged. */
  readonly retryable: boolean;
}

/** What each code means to a shell, to gRPC and to a caller that may try again. */
export const errorTraits = {
  usage: { exitCode: 2, grpcStatus: 3, retryable: false },
  'not-found': { exitCode: 3, grpcStatus: 5, retryable: false },
  unreachable: { exitCode: 4, grpcStatus: 14, retryable: true },
  denied: { exitCode: 5, grpcStatus: 7, retryable: false },
  unauthenticated: { exitCode: 5, grpcStatus: 16, retryable: false },
  'controller-unreachable': { exitCode: 6, grpcStatus: 14, retryable: true },
  conflict: { exitCode: 1, grpcStatus: 6, retryable: false },
  protocol: { exitCode: 1, grpcStatus: 9, retryable: false },
  unsupported: { exitCode: 1, grpcStatus: 12, retryable: false },
  unavailable: { exitCode: 1, grpcStatus: 14, retryable: true },
  'too-many-requests': { exitCode: 1, grpcStatus: 8, retryable: true },
  failed: { exitCode: 1, grpcStatus: 2, retryable: false },
  internal: { exitCode: 1, grpcStatus: 13, retryable: false },
} satisfies Record<ErrorCode, ErrorTraits>;

/** An expected failure: one line for people that names the thing and the next step. */
export class KomposeError extends Error {
  override readonly name = 'KomposeError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get exitCode(): number {
    return errorTraits[this.code].exitCode;
  }

  get isRetryable(): boolean {
    return errorTraits[this.code].retryable;
  }

  /** The only way in for what was caught: anything that is not a KomposeError is a bug, code `internal`. */
  static from(thrown: unknown): KomposeError {
    if (isKomposeError(thrown)) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new KomposeError('internal', message, { cause: thrown });
  }
}

/** Of this class or of another bundle's: the release has its agent and its controller apart from the command line. */
function isKomposeError(thrown: unknown): thrown is KomposeError {
  return thrown instanceof KomposeError || (thrown instanceof Error && thrown.name === 'KomposeError');
}

/** Whether a word that came from elsewhere is an error code. */
export function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(errorTraits, word);
}

/** Whether `thrown` is a system error of Node with this `code`, such as `ENOENT`. */
export function isSystemError(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}

/** Whether this process, or the machine, has no room for one more open file: in a while it may have. */
export function isScarcity(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM'].some((code) => isSystemError(error, code));
}
