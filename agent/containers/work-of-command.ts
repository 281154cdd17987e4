import type { ContainerPlace, ContainerWork } from './container-work.ts';
import { ExecWork } from './exec-work.ts';
import { RunWork } from './run-work.ts';

/** Undefined for a command that starts nothing which should end with it. */
export function workOfCommand(command: string, place: ContainerPlace): ContainerWork | undefined {
  if (command === 'exec') return new ExecWork(place);
  if (command === 'run') return new RunWork(place);
  return undefined;
}
