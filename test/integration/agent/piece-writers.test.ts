import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasInHand } from '../../../agent/process/piece-writers.ts';
import { until } from './processes.ts';

test('a dd has nothing in its hand while it sleeps until more comes, and none of another step or stream counts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-pieces-'));
  t.after(() => rm(folder, { recursive: true }));
  const dd = spawn('dd', ['bs=4k', `of=${folder}/stderr.0`], { stdio: ['pipe', 'ignore', 'ignore'] });
  t.after(() => dd.kill('SIGKILL'));
  await until('it sleeps', () => !hasInHand(folder, 'stderr'));
  dd.kill('SIGSTOP');
  await until('it does not', () => hasInHand(folder, 'stderr'));
  assert.equal(hasInHand(folder, 'stdout'), false);
  assert.equal(hasInHand(`${folder}/beside`, 'stderr'), false);
  dd.kill('SIGCONT');
  await until('it sleeps again', () => !hasInHand(folder, 'stderr'));
  dd.stdin.end('all');
  await once(dd, 'exit');
  assert.equal(hasInHand(folder, 'stderr'), false);
});
