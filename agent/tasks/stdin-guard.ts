import { createStdinKey, stdinJudge } from '../../common/signing/stdin-marks.ts';
import type { TaskSpec } from './task-spec.ts';
import type { StdinGuard } from './task-stdin.ts';

/** For the stdin of whoever signed their half of the key with the task. Throws `protocol` for a half that is none. */
export function guardStdin({ task, stdinKey }: TaskSpec): StdinGuard | undefined {
  if (stdinKey === undefined) return undefined;
  const own = createStdinKey();
  const isMarked = stdinJudge(own, stdinKey, task);
  return {
    publicKey: own.publicKey,
    isTheirs: (piece) => isMarked(piece, piece.mark ?? new Uint8Array()),
  };
}
