import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { nextStart } from '../../../agent/session/next-start.ts';

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-start-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const log = pino({ level: 'silent' });

describe('when an agent has started', () => {
  test('is what the clock shows', async (t) => {
    const folder = await makeFolder(t);
    assert.equal(await nextStart(folder, 1_000, log), 1_000);
    assert.equal(await nextStart(folder, 2_000, log), 2_000);
  });

  test('is later than the start before, though the clock was set back', async (t) => {
    const folder = await makeFolder(t);
    await nextStart(folder, 2_000, log);
    assert.equal(await nextStart(folder, 1_000, log), 2_001);
    assert.equal(await nextStart(folder, 1_000, log), 2_002);
  });

  test('is what the clock shows where what is kept was damaged', async (t) => {
    const folder = await makeFolder(t);
    await writeFile(join(folder, 'started'), 'nonsense');
    assert.equal(await nextStart(folder, 1_000, log), 1_000);
  });

  test('holds though it cannot be kept', async () => {
    assert.equal(await nextStart('/proc/none', 1_000, log), 1_000);
  });
});
