const meanings: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EIO: 'the disk reports an error',
};

/** One line for what the file system threw; anything else is thrown on. */
export function describeFailure(error: unknown, what: string): string {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
  return `${what}: ${meanings[error.code] ?? error.message}`;
}
