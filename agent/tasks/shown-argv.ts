import type { Masker } from '../../common/redaction/masker.ts';
import type { Step } from '../plan/plan.ts';

/** A step's argv as everybody may see it: secrets are masked; names and the paths of dumps are not. */
export function shownArgv(step: Step, names: ReadonlySet<string>, masker: Masker): string[] {
  const isPath = (index: number): boolean =>
    step.kind === 'cleanup' ? index >= 2 : step.kind === 'hook' && step.takesDumps === true && index >= 1;
  const isShown = (argument: string, index: number): boolean =>
    isPath(index) || argument === step.name || names.has(argument);
  return step.argv.map((argument, index) =>
    isShown(argument, index) ? argument : masker.maskText(argument),
  );
}
