import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import { changingFiles, loadState, type ControllerState } from './config.ts';

/**
 * Hears within a second of what `controller address` and `controller ca` have changed; `use` is called with one state
 * after the other, the newest last. Call the result to hear no more.
 */
export function watchState(
  folder: string,
  log: Logger,
  use: (state: ControllerState) => Promise<void>,
): () => void {
  let looking = Promise.resolve();
  const look = (): void => {
    looking = looking
      .then(() => loadState(folder))
      .then(use)
      .catch((error: unknown) =>
        log.error({ err: error }, 'the changed configuration cannot be read and is not used'),
      );
  };
  const paths = changingFiles(folder);
  for (const path of paths) watchFile(path, { interval: 1000, persistent: false }, look);
  return () => {
    for (const path of paths) unwatchFile(path, look);
  };
}
