import assert from 'node:assert/strict';
import { PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { frugalNode } from '../../../agent/unit.ts';
import { watchWork } from '../../../common/work-and-rest.ts';
import { isMajor } from './is-major.ts';

const periodMs = 1_000;
const busyProgram = fileURLToPath(new URL('busy-program.ts', import.meta.url));

test('a process that has come to rest is told so once after each work, and that it works once', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const told: string[] = [];
  const watching = watchWork({
    periodMs,
    onWork: () => void told.push('work'),
    onRest: () => {
      told.push('rest');
      work(0.1);
    },
  });
  pass(1);
  assert.deepEqual(told, []);
  pass(5);
  assert.deepEqual(told, ['rest'], 'after the start; what the rest takes is no work');
  for (let period = 0; period < 3; period++) {
    work(0.06);
    pass(1);
  }
  pass(1);
  assert.deepEqual(told, ['rest'], 'it does a little');
  pass(5);
  assert.deepEqual(told, ['rest', 'rest'], 'after a little work');
  for (let period = 0; period < 3; period++) {
    work(0.3);
    pass(1);
  }
  assert.deepEqual(told, ['rest', 'rest', 'work'], 'while it works');
  pass(5);
  assert.deepEqual(told, ['rest', 'rest', 'work', 'rest'], 'after its work');
  work(0.3);
  pass(1);
  watching[Symbol.dispose]();
  pass(5);
  assert.deepEqual(told.slice(4), ['work']);
});

test('at rest all of the heap is collected', { timeout: 20_000 }, async (t) => {
  const seen = Promise.withResolvers<PerformanceEntry>();
  const observer = new PerformanceObserver((list) => {
    const entry = list.getEntries().find(isMajor);
    if (entry !== undefined) seen.resolve(entry);
  });
  observer.observe({ entryTypes: ['gc'] });
  t.after(() => observer.disconnect());
  using _ = watchWork({ periodMs: 20 });
  // The process would end: what it waits for is no reason to go on.
  const staysUp = setInterval(() => undefined, 1_000);
  t.after(() => clearInterval(staysUp));
  await seen.promise;
});

test('V8 optimizes an agent’s code while it works', { timeout: 60_000 }, async () => {
  const optimized = /target TURBOFAN/;
  const flags = [...frugalNode, '--trace-opt'];
  const unwatched = await execa(process.execPath, [...flags, busyProgram, 'unwatched']);
  assert.doesNotMatch(unwatched.stdout, optimized);
  const watched = await execa(process.execPath, [...flags, busyProgram]);
  const [working = '', resting] = watched.stdout.split('at rest');
  assert.match(working, optimized);
  assert.ok(resting !== undefined);
  assert.doesNotMatch(resting, optimized);
});

function pass(periods: number): void {
  for (let period = 0; period < periods; period++) mock.timers.tick(periodMs);
}

/** More than this share of a period. */
function work(share: number): void {
  const { user, system } = process.cpuUsage();
  const used = (): number => process.cpuUsage().user + process.cpuUsage().system - user - system;
  while (used() < periodMs * 1000 * share);
}
