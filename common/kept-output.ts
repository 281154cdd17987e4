/** So much of a task's output is kept, where no setting says otherwise. */
export const defaultKeptBytes = 64 * 1024 * 1024;

/** What `config` prints holds the secrets of a stack, and what is raw is not masked: neither is ever kept. Pure. */
export function isOutputKept(command: string, isRaw: boolean): boolean {
  return !isRaw && command !== 'config';
}

/** Why output is missing, for people. Pure. */
export function whyNotKept(command: string, isRaw: boolean): string {
  if (isRaw) return 'output with --raw is not kept';
  return command === 'config' ? 'the output of config is not kept' : 'no more of a task’s output is kept';
}
