import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { discoverStacks, findStack } from '../../../agent/stacks/discovery.ts';

test('no name leads out of the stacks root', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-root-'));
  t.after(() => rm(folder, { recursive: true }));
  const root = join(folder, 'stacks');
  // Beside the root, above a stack and in a hidden folder, all of which are stacks but for where they are.
  const stacks = ['stacks/inside', 'outside', 'stacks/inside/deeper', 'stacks/.hidden', 'stacks/caf\u00e9'];
  for (const stack of stacks) {
    await mkdir(join(folder, stack), { recursive: true });
    await writeFile(join(folder, stack, 'compose.yaml'), 'services: {}\n');
  }
  await writeFile(join(folder, 'compose.yaml'), 'services: {}\n');
  await symlink(join(folder, 'outside'), join(root, 'link'));
  await symlink('../outside', join(root, 'relative'));
  const elsewhere = join(folder, 'outside');
  const ways = ['..', '.', '', '../outside', 'inside/..', 'inside/../../outside', './inside', 'inside/'];
  const links = ['inside/deeper', elsewhere, 'link', 'relative', '.hidden', 'link/'];
  const breaks = ['inside\0', 'inside\0/../../outside', 'inside\n', '\ninside', '../outside\n', '~', '$HOME'];
  // Fullwidth dots, one-dot leaders, fullwidth and division slashes, what decoders leave of overlong encodings.
  const dots = [
    '\uff0e\uff0e',
    '\u2024\u2024',
    '..\uff0foutside',
    '..\u2215outside',
    '\ufffd\ufffd',
    '..\\outside',
  ];
  // The same to read as a stack that is there, but another name.
  const alike = ['cafe\u0301', 'INSIDE', 'inside ', '\u200binside', '\u202einside', '%2e%2e/outside'];
  const names = [ways, links, breaks, dots, alike].flat();
  for (const name of names) assert.equal(await findStack(root, name), undefined, JSON.stringify(name));
  const found = await discoverStacks(root);
  assert.deepEqual(
    found.map(({ name }) => name),
    ['caf\u00e9', 'inside'],
  );
  assert.equal((await findStack(root, 'inside'))?.path, join(root, 'inside'));
});
