import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const ending = '.events';

/** Where the log of a run is (see EventLog). */
export function logPath(folder: string, run: string): string {
  return join(folder, `${run}${ending}`);
}

/** All that a log may consist of. */
export function logFilesOf(folder: string, run: string): string[] {
  const path = logPath(folder, run);
  return [`${path}.rings`, path];
}

/** The runs whose logs are in a folder. */
export async function loggedRuns(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));
}
