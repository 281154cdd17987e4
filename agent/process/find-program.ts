import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { keeperToolNames, type KeeperTools } from './keeper.ts';

/** As execvp(3) finds it. */
export function findProgram(name: string, path: string, cwd = '/'): string | undefined {
  const files = name.includes('/')
    ? [resolve(cwd, name)]
    : path.split(delimiter).map((folder) => resolve(cwd, folder, name));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** Undefined where the host lacks one of the programs that a keeper calls. */
export function findKeeperTools(path: string): KeeperTools | undefined {
  const found = keeperToolNames.map((name) => [name, findProgram(name, path)] as const);
  return found.some(([, file]) => file === undefined)
    ? undefined
    : (Object.fromEntries(found) as unknown as KeeperTools);
}
