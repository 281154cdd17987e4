import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TaskStdin } from '../../../../agent/tasks/task-stdin.ts';

const kib = 1024;

test('tells at once how much was taken, then each 64 KiB of it', async () => {
  const stdin = new TaskStdin();
  const told: number[] = [];
  let given = 0;
  stdin.connect(new Writable({ write: (_, __, done) => done() }), () => given++);
  stdin.reportTo((taken) => told.push(taken));
  let offset = 0;
  const receive = async (length: number): Promise<void> => {
    stdin.receive({ offset, data: Buffer.alloc(length), isEnd: false });
    offset += length;
    await nextTurn();
  };
  await receive(1);
  await receive(63 * kib);
  assert.deepEqual(told, [0]);
  await receive(kib);
  assert.deepEqual(told, [0, 64 * kib + 1]);
  await receive(1);
  stdin.reportTo((taken) => told.push(taken));
  assert.deepEqual(told, [0, 64 * kib + 1, 64 * kib + 2]);
  assert.equal(given, 4);
});
