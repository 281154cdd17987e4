import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** PATH with the folders of root's programs, which not every shell has. */
export const programPath = [
  ...new Set([...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin']),
]
  .filter((folder) => folder !== '')
  .join(delimiter);

/** The path of the program `name`, or undefined when no folder of {@link programPath} has it. */
export async function which(name: string): Promise<string | undefined> {
  const candidates = programPath.split(delimiter).map((folder) => join(folder, name));
  const runnable = await Promise.all(candidates.map(isRunnable));
  return candidates.find((_, index) => runnable[index]);
}

async function isRunnable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
