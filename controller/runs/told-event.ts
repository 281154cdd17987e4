import { KomposeError } from '../../common/errors.ts';
import type { NumberedTaskEvent, StepFinished, TaskFinished } from '../../common/task-event.ts';

/** Chunks are 64 KiB, and masking may make them longer. */
const mostOutputBytes = 1024 * 1024;
const longestName = 255;
const longestReason = 4_096;

/** An agent's event as it came. Throws `protocol` for a time that is none and for output beyond what a chunk can be. */
export function checkEvent(numbered: NumberedTaskEvent): NumberedTaskEvent {
  const { timeMs, event } = numbered;
  if (Number.isNaN(new Date(timeMs).getTime()))
    throw new KomposeError('protocol', 'the agent told of a time that is none');
  if (event.type === 'output' && event.data.length > mostOutputBytes)
    throw new KomposeError('protocol', `the agent sent ${event.data.length} bytes of output at once`);
  return numbered;
}

/** As records keep it: what is longer than any honest one is cut. */
export function briefStep(step: StepFinished): StepFinished {
  const { name, hookSha256, outputSha256 } = step;
  return {
    ...step,
    name: name.slice(0, longestName),
    hookSha256: hookSha256.slice(0, longestName),
    outputSha256: outputSha256.slice(0, longestName),
  };
}

export function briefEnd(end: TaskFinished): TaskFinished {
  const { reason, dump } = end;
  const brief = { ...end, reason: reason.slice(0, longestReason) };
  if (dump === undefined) return brief;
  const { path, sha256 } = dump;
  return {
    ...brief,
    dump: { ...dump, path: path.slice(0, longestReason), sha256: sha256.slice(0, longestName) },
  };
}
