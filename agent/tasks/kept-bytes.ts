import { defaultKeptBytes, isOutputKept } from '../../common/kept-output.ts';
import type { TaskSpec } from './task-spec.ts';

/** How much of a task's output may be kept on the disk. */
export function keptBytes({ command, raw, output }: TaskSpec): number {
  return isOutputKept(command, raw === true) ? (output?.keptBytes ?? defaultKeptBytes) : 0;
}
