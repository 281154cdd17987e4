import assert from 'node:assert/strict';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createAuthority, type KeyPair } from '../../../controller/identity/authority.ts';
import { loadPair, replacePair, type KeyFiles } from '../../../common/key-files.ts';

let folder: string;
let files: KeyFiles;
let old: KeyPair;
let renewed: KeyPair;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kompose-keys-'));
  files = { key: join(folder, 'own.key'), certificate: join(folder, 'own.crt') };
  [old, renewed] = await Promise.all([createAuthority(Date.now()), createAuthority(Date.now())]);
});
after(() => rm(folder, { recursive: true }));

async function write(key: string, certificate: string): Promise<void> {
  await writeFile(files.key, key, { mode: 0o600 });
  await writeFile(files.certificate, certificate);
}

test('a replaced pair is there', async () => {
  await write(old.privateKey, old.certificate);
  await replacePair(files, renewed);
  assert.deepEqual(loadPair(files), renewed);
});

test('a replacement that stopped before the certificate leaves the old pair', async () => {
  await write(old.privateKey, old.certificate);
  await writeFile(`${files.key}.new`, renewed.privateKey, { mode: 0o600 });
  assert.deepEqual(loadPair(files), old);
});

test('a replacement that stopped after the certificate leaves the new pair', async () => {
  await write(old.privateKey, renewed.certificate);
  await writeFile(`${files.key}.new`, renewed.privateKey, { mode: 0o600 });
  assert.deepEqual(loadPair(files), renewed);
  await rename(`${files.key}.new`, files.key);
  assert.deepEqual(loadPair(files), renewed);
});

test('files that do not belong together are refused by name', async () => {
  await write(old.privateKey, renewed.certificate);
  assert.throws(() => loadPair(files), /own\.key is not the key of .*own\.crt/);
});

test('a key that others may read is refused, with what mends it', async () => {
  await write(old.privateKey, old.certificate);
  await chmod(files.key, 0o640);
  const message = `${files.key} is open to others: run chmod go= ${files.key}`;
  assert.throws(() => loadPair(files), { code: 'failed', message });
  await chmod(files.key, 0o600);
  assert.deepEqual(loadPair(files), old);
});
