import { open, type FileHandle } from 'node:fs/promises';
import { KomposeError, isSystemError } from '../../common/errors.ts';
import { startProcess } from '../process/running-process.ts';
import type { StopSignal } from '../tasks/stop-signal.ts';
import type { Compression } from './database.ts';
import type { Variables } from './find-database.ts';
import { endsArgv } from './tools.ts';

/** How much of a dump's text is looked at. */
interface Ends {
  readonly head: string;
  readonly tail: string;
}

const headBytes = 64 * 1024;
const tailBytes = 1024;

/**
 * Finds out whether a file is a dump that pg_dump finished, by its first and last lines; a compressed one is
 * unpacked to its end. Touches nothing. Throws `failed` with what is wrong with it.
 */
export async function checkDump(path: string, env: Variables, stop: StopSignal): Promise<Compression> {
  const handle = await openDump(path);
  try {
    const compression = await compressionOfFile(handle, path);
    const ends = compression === 'none' ? await readEnds(handle) : undefined;
    const problem = problemOf(ends ?? (await unpackEnds(handle, path, compression, env, stop)));
    if (problem !== undefined) throw failed(`${path} ${problem}`);
    return compression;
  } finally {
    await handle.close();
  }
}

async function openDump(path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw failed(`there is no file ${path}`, error);
    throw failed(`${path} cannot be read: check its owner and mode`, error);
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw failed(`${path} is no file`);
}

/** By the first bytes: RFC 1952 2.3.1, RFC 8878 3.1.1, and pg_dump's own for its custom format. */
async function compressionOfFile(handle: FileHandle, path: string): Promise<Compression> {
  const magic = (await readAt(handle, 0, 5)).toString('latin1');
  if (magic.startsWith('\x1f\x8b')) return 'gzip';
  if (magic.startsWith('\x28\xb5\x2f\xfd')) return 'zstd';
  if (magic !== 'PGDMP') return 'none';
  throw failed(`${path} is a dump in pg_dump's custom format; only SQL can be imported`);
}

async function readEnds(handle: FileHandle): Promise<Ends> {
  const { size } = await handle.stat();
  const head = await readAt(handle, 0, headBytes);
  const tail = await readAt(handle, Math.max(0, size - tailBytes), tailBytes);
  return { head: head.toString('utf8'), tail: tail.toString('utf8') };
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

async function unpackEnds(
  handle: FileHandle,
  path: string,
  compression: Compression,
  env: Variables,
  stop: StopSignal,
): Promise<Ends> {
  if (compression === 'none') return readEnds(handle);
  const chunks: Uint8Array[] = [];
  const process = startProcess({
    argv: endsArgv(compression),
    cwd: '/',
    env,
    files: { stdin: handle.fd },
    onOutput: (stream, chunk) => {
      if (stream === 'stdout') chunks.push(chunk);
    },
  });
  const forget = stop.onStop(() => void process.terminate(0));
  const { exitCode } = await process.ended;
  forget();
  if (exitCode !== 0) throw failed(`${path} is damaged or cut off: ${compression} cannot read it to its end`);
  const text = Buffer.concat(chunks);
  const tail = text.subarray(Math.max(0, text.length - tailBytes));
  return { head: text.subarray(0, headBytes).toString('utf8'), tail: tail.toString('utf8') };
}

/** pg_dump's last line; after it only the end of `\restrict`, which newer ones write, and comments. */
const finished =
  /^-- PostgreSQL database dump complete\r?\n(?:--[^\n]*\r?\n|\\unrestrict[^\n]*\r?\n|\s)*(?![^])/m;

/** Why such a text may not be restored; undefined if it may. */
export function problemOf({ head, tail }: Ends): string | undefined {
  if (/^-- PostgreSQL database cluster dump$/m.test(head)) return 'is a dump of a whole server (pg_dumpall)';
  if (/^\\c(?:onnect)?\s/m.test(head)) {
    return 'changes to another database (pg_dump --create): make it without --create';
  }
  if (finished.test(tail)) return undefined;
  return "is no finished dump: pg_dump's last line is not there, so the end may be missing";
}

/** Of a dump in SQL that has just been written. */
export async function isFinishedDump(handle: FileHandle): Promise<boolean> {
  return finished.test((await readEnds(handle)).tail);
}

function failed(message: string, cause?: unknown): KomposeError {
  return new KomposeError('failed', message, { cause });
}
