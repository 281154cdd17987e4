import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { processStart } from '../../../agent/process/process-identity.ts';
import type { LockOwner } from '../../../agent/tasks/lock-tickets.ts';
import { acquireStackLock, dropTicket } from '../../../agent/tasks/stack-lock.ts';

const never = new AbortController().signal;
const owner = (run: string): LockOwner => ({
  run,
  task: `task-${run}`,
  command: 'up',
  user: 'ada',
  chain: run,
});

async function withRoot(body: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'kompose-lock-'));
  try {
    await body(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

/** Asks for the lock, noting whom it waits for and when it has it. */
function ask(root: string, run: string, order: string[], signal = never) {
  const waiting = Promise.withResolvers<string>();
  const got = acquireStackLock(root, 'app', owner(run), (ahead) => waiting.resolve(ahead.run), signal);
  const held = got.then((release) => {
    order.push(run);
    return release;
  });
  return { waitsFor: waiting.promise, held };
}

test('gives the lock in order of arrival, telling each for whom it waits', async () => {
  await withRoot(async (root) => {
    const order: string[] = [];
    const first = ask(root, 'one', order);
    const releaseFirst = await first.held;
    const second = ask(root, 'two', order);
    assert.equal(await second.waitsFor, 'one');
    const third = ask(root, 'three', order);
    assert.equal(await third.waitsFor, 'one');
    await releaseFirst();
    const releaseSecond = await second.held;
    assert.deepEqual(order, ['one', 'two']);
    await releaseSecond();
    await (
      await third.held
    )();
    assert.deepEqual(order, ['one', 'two', 'three']);
    assert.deepEqual(await readdir(join(root, '.kompose/locks/app')), []);
  });
});

test('does not let stacks wait for one another', async () => {
  await withRoot(async (root) => {
    const release = await acquireStackLock(root, 'app', owner('one'), () => undefined, never);
    const other = await acquireStackLock(root, 'db', owner('two'), () => assert.fail('waited'), never);
    await Promise.all([release(), other()]);
  });
});

test('leaves the queue when it is cancelled', async () => {
  await withRoot(async (root) => {
    const release = await acquireStackLock(root, 'app', owner('one'), () => undefined, never);
    const cancel = new AbortController();
    const second = ask(root, 'two', [], cancel.signal);
    await second.waitsFor;
    cancel.abort(new Error('enough'));
    await assert.rejects(second.held, /enough|aborted/);
    assert.equal((await readdir(join(root, '.kompose/locks/app'))).length, 1);
    await release();
  });
});

test('waits for a process that is gone as long as its watchdog is at work', async () => {
  await withRoot(async (root) => {
    const folder = join(root, '.kompose/locks/app');
    await mkdir(folder, { recursive: true });
    const { pid } = process;
    const watchdog = { pid, processStart: processStart(pid) };
    const gone = { ...owner('gone'), pid, processStart: 'another', watchdog };
    await writeFile(join(folder, '0000000000000001'), JSON.stringify(gone));
    const next = ask(root, 'next', []);
    assert.equal(await next.waitsFor, 'gone');
    await dropTicket(root, 'app', gone.task);
    await (
      await next.held
    )();
  });
});

test('passes over the ticket of a process that is gone, also where its pid lives on in another', async () => {
  await withRoot(async (root) => {
    const folder = join(root, '.kompose/locks/app');
    await mkdir(folder, { recursive: true });
    const gone = { ...owner('gone'), pid: process.pid, processStart: 'another' };
    await writeFile(join(folder, '0000000000000001'), JSON.stringify({ ...gone, watchdog: gone }));
    const release = await acquireStackLock(root, 'app', owner('one'), () => assert.fail('waited'), never);
    assert.deepEqual(await readdir(folder), ['0000000000000002']);
    await release();
  });
});
