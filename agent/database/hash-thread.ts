import { createHash } from 'node:crypto';
import { readlinkSync, readSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { hashState, type Digest, type HashOrder } from './hash-order.ts';

/*
 * Hashes a file to its end, and on while it is written, on a thread of its own: beside a dump or restore that needs
 * the whole processor it takes what that leaves.
 */

const pieceBytes = 1024 * 1024;
const idleMs = 20;

const { file, state, niceness } = workerData as HashOrder;
// Linux gives each thread a priority of its own.
const thread = Number(basename(readlinkSync('/proc/thread-self')));
const niceBefore = getPriority(thread);
let isNice = niceBefore < niceness;
if (isNice) setPriority(thread, niceness);

/** Nobody may be less nice than before without a privilege; then it takes its time. */
function hurry(): void {
  isNice = false;
  try {
    setPriority(thread, niceBefore);
  } catch (error) {
    const { code } = (error as { readonly info?: { readonly code?: string } }).info ?? {};
    if (code !== 'EACCES') throw error;
  }
}

const hash = createHash('sha256');
const piece = Buffer.allocUnsafe(pieceBytes);
let sizeBytes = 0;
for (;;) {
  const now = Atomics.load(state, 0);
  if (now === hashState.awaited && isNice) hurry();
  const bytesRead = readSync(file, piece, 0, pieceBytes, sizeBytes);
  hash.update(piece.subarray(0, bytesRead));
  sizeBytes += bytesRead;
  if (bytesRead > 0) continue;
  if (now !== hashState.growing) break;
  Atomics.wait(state, 0, hashState.growing, idleMs);
}
parentPort?.postMessage({ sizeBytes, sha256: hash.digest('hex') } satisfies Digest, []);
