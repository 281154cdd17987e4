import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outputPolicy } from '../../../../controller/runs/output-policy.ts';

const kibibyte = 1024;
const kept = 64 * kibibyte * kibibyte;
const logs = { command: 'logs', args: [], raw: false };

test('lets the tasks of a run be ahead of their watcher by what its log has in memory, all together', () => {
  const windows = [1, 2, 8, 1_000].map((targets) => outputPolicy(logs, targets, undefined, kept).windowBytes);
  assert.deepEqual(
    windows.map((bytes) => bytes / kibibyte),
    [4_096, 2_048, 512, 128],
  );
});

test('lets nothing that changes something, or that nobody waits for, wait for a watcher', () => {
  const up = { command: 'up', args: ['-d'], raw: false };
  assert.equal(outputPolicy(up, 1, undefined, kept).windowBytes, 0);
  assert.equal(outputPolicy(logs, 1, { detach: true, terminal: undefined }, kept).windowBytes, 0);
});

test('lets no more be under way than an eighth of what is kept', () => {
  assert.equal(outputPolicy(logs, 1, undefined, 80_000).windowBytes, 10_000);
});
