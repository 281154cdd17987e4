import { commandTraits } from './compose-command.ts';

interface Asked {
  /** The client has one to give. */
  readonly hasStdin: boolean;
  readonly dryRun: boolean;
  readonly command: string;
  readonly args: readonly string[];
}

/** Whether the client's stdin goes to the action: only if it is the one target's and the command reads it. Pure. */
export function readsClientStdin({ hasStdin, dryRun, command, args }: Asked, targetCount: number): boolean {
  return hasStdin && !dryRun && targetCount === 1 && commandTraits(command, args).readsStdin;
}
