import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { isSystemError } from '../../common/errors.ts';
import { writePrivateFile } from '../../common/private-files.ts';

/**
 * When this process has started, in Unix milliseconds: later than any earlier one on this host, also where its clock was
 * set back meanwhile. It is kept in the agent's folder for the next; a disk that cannot is no reason not to start.
 */
export async function nextStart(folder: string, nowMs: number, log: Logger): Promise<number> {
  const path = join(folder, 'started');
  const startedMs = Math.max(nowMs, (await readStart(path, log)) + 1);
  await writePrivateFile(path, `${startedMs}\n`).catch((error: unknown) => {
    log.warn({ err: error }, 'when this agent started cannot be kept');
  });
  return startedMs;
}

/** 0 if there was none. */
async function readStart(path: string, log: Logger): Promise<number> {
  try {
    const ms = Number(await readFile(path, 'utf8'));
    return Number.isSafeInteger(ms) ? ms : 0;
  } catch (error) {
    if (!isSystemError(error, 'ENOENT'))
      log.warn({ err: error }, 'when the last agent started cannot be read');
    return 0;
  }
}
