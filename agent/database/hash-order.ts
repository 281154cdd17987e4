/** Size and SHA-256 (lower-case hex) of a file. */
export interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** For `hash-thread.ts`, which a release keeps apart from the rest of the program. */
export interface HashOrder {
  /** A descriptor that stays open until the thread has ended. */
  readonly file: number;
  /** At its first place one of `hashState`. */
  readonly state: Int32Array;
  /** Of -20 to 19, until the hash is awaited. */
  readonly niceness: number;
}

export const hashState = {
  /** It is still written. */
  growing: 0,
  /** Nobody writes any more. */
  written: 1,
  /** And somebody waits for the hash. */
  awaited: 2,
} as const;
