import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { isSystemError, KomposeError } from './errors.ts';
import { refuseOpen, writePrivateFile } from './private-files.ts';

/** Where a key and its certificate (PEM) are kept. */
export interface KeyFiles {
  readonly key: string;
  readonly certificate: string;
}

interface Pair {
  readonly privateKey: string;
  readonly certificate: string;
}

/*
 * INVARIANT: at every moment, also in the middle of a change, `loadPair` gives a key and the certificate of that key.
 * The certificate's rename is what makes a new pair count; its key is beside the old one before, and in its place after.
 */

/** Puts a renewed pair in the place of the one that is there. */
export async function replacePair(files: KeyFiles, { privateKey, certificate }: Pair): Promise<void> {
  await writePrivateFile(besideOf(files), privateKey);
  await writePrivateFile(files.certificate, certificate);
  await rename(besideOf(files), files.key);
}

/** Throws `failed` for files that do not belong together and for a key that others may read, and what reading throws. */
export function loadPair(files: KeyFiles): Pair {
  const certificate = readFileSync(files.certificate, 'utf8');
  // Last the key's own place again: while we looked, another process may have put the new key there.
  for (const path of [files.key, besideOf(files), files.key]) {
    const privateKey = path === files.key ? readKey(path) : readKeyIfThere(path);
    if (privateKey !== '' && isPair(privateKey, certificate)) return { privateKey, certificate };
  }
  throw new KomposeError('failed', `${files.key} is not the key of ${files.certificate}`);
}

function readKeyIfThere(path: string): string {
  try {
    return readKey(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return '';
    throw error;
  }
}

function readKey(path: string): string {
  refuseOpen(path);
  return readFileSync(path, 'utf8');
}

function besideOf({ key }: KeyFiles): string {
  return `${key}.new`;
}

function isPair(privateKey: string, certificate: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey));
}
