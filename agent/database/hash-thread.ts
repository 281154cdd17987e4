import { createHash } from 'node:crypto';
import { readlinkSync, readSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { Digest, HashOrder } from './following-hash.ts';

/*
 * Hashes a file to its end, and on while it is written, on a thread of its own: beside a dump or restore that needs
 * the whole processor it takes what that leaves.
 */

const pieceBytes = 1024 * 1024;
const idleMs = 20;
/** Of -20 to 19: a third of the share of a thread at 0. */
const niceness = 5;

const { file, written } = workerData as HashOrder;
// Linux gives each thread a priority of its own. Who is nicer already may not be less so without a privilege.
const thread = Number(basename(readlinkSync('/proc/thread-self')));
if (getPriority(thread) < niceness) setPriority(thread, niceness);
const hash = createHash('sha256');
const piece = Buffer.allocUnsafe(pieceBytes);
let sizeBytes = 0;
for (;;) {
  const isWritten = Atomics.load(written, 0) === 1;
  const bytesRead = readSync(file, piece, 0, pieceBytes, sizeBytes);
  hash.update(piece.subarray(0, bytesRead));
  sizeBytes += bytesRead;
  if (bytesRead > 0) continue;
  if (isWritten) break;
  Atomics.wait(written, 0, 0, idleMs);
}
parentPort?.postMessage({ sizeBytes, sha256: hash.digest('hex') } satisfies Digest, []);
