import { readFile } from 'node:fs/promises';
import { KomposeError } from '../common/errors.ts';
import type { Terminal } from './terminal.ts';

const maxBytes = 1024 * 1024;

/** The text of a file, or of stdin for `-`. Throws `usage` for one that cannot be read or has more than a megabyte. */
export async function readText(path: string, terminal: Terminal): Promise<string> {
  if (path !== '-') {
    return readFile(path, 'utf8').catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new KomposeError('usage', `${path} cannot be read: ${why}`, { cause: error });
    });
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of terminal.stdin) {
    pieces.push(piece);
    length += piece.length;
    if (length > maxBytes) throw new KomposeError('usage', 'stdin holds more than a megabyte');
  }
  return Buffer.concat(pieces).toString();
}
