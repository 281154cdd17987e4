import { unwatchFile, watchFile, type Stats } from 'node:fs';
import type { Logger } from 'pino';
import { changingFiles, loadState, type ControllerState } from './config.ts';

/**
 * Hears within a second of what `controller address` and `controller ca` have changed; `use` is called with one state
 * after the other, the newest last. Call the result to hear no more; it resolves once nobody looks any more.
 */
export function watchState(
  folder: string,
  log: Logger,
  use: (state: ControllerState) => Promise<void>,
): () => Promise<void> {
  let looking = Promise.resolve();
  // Of a file that is not there Node tells once, without any change.
  const look = (now: Stats, before: Stats): void => {
    if (now.mtimeMs === before.mtimeMs && now.ino === before.ino) return;
    looking = looking
      .then(() => loadState(folder))
      .then(use)
      .catch((error: unknown) =>
        log.error({ err: error }, 'the changed configuration cannot be read and is not used'),
      );
  };
  const paths = changingFiles(folder);
  for (const path of paths) watchFile(path, { interval: 1000, persistent: false }, look);
  return async () => {
    for (const path of paths) unwatchFile(path, look);
    await looking;
  };
}
