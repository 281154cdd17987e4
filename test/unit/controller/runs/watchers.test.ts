import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Watchers } from '../../../../controller/runs/watchers.ts';

function watchers(t: TestContext, setPace = true) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const unwatched: string[] = [];
  return { unwatched, all: new Watchers({ setPace, onUnwatched: () => void unwatched.push('unwatched') }) };
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  let isDone = false;
  void promise.then(() => (isDone = true));
  await new Promise(setImmediate);
  return isDone;
}

describe('Watchers', () => {
  test('wait for the one who started the run, and for nobody else', async (t) => {
    const { all } = watchers(t);
    const other = all.open(false, 0);
    const starter = all.open(true, 0);
    const reached = all.reached(5);
    other.at(5);
    assert.equal(await isSettled(reached), false);
    starter.at(4);
    assert.equal(await isSettled(reached), false);
    starter.at(5);
    assert.equal(await isSettled(reached), true);
  });

  test('wait for the next one when the first goes', async (t) => {
    const { all } = watchers(t);
    const first = all.open(true, 0);
    const second = all.open(false, 0);
    second.at(3);
    const [early, late] = [all.reached(3), all.reached(4)];
    first.close();
    assert.equal(await isSettled(early), true);
    assert.equal(await isSettled(late), false);
    second.at(4);
    assert.equal(await isSettled(late), true);
  });

  test('wait a while for a client that went away to come back, then for nobody', async (t) => {
    const { all, unwatched } = watchers(t);
    all.open(true, 0).close();
    const reached = all.reached(1);
    t.mock.timers.tick(2_999);
    assert.equal(await isSettled(reached), false);
    const again = all.open(true, 0);
    t.mock.timers.tick(10_000);
    assert.equal(await isSettled(reached), false);
    assert.deepEqual(unwatched, []);
    again.close();
    t.mock.timers.tick(3_000);
    assert.equal(await isSettled(reached), true);
    assert.deepEqual(unwatched, ['unwatched']);
  });

  test('wait for nobody where nobody sets the pace', async (t) => {
    const { all } = watchers(t, false);
    all.open(true, 0);
    assert.equal(await isSettled(all.reached(9)), true);
  });

  test('tell of nothing any more once they are closed', async (t) => {
    const { all, unwatched } = watchers(t);
    const watcher = all.open(true, 0);
    const reached = all.reached(1);
    all.close();
    assert.equal(await isSettled(reached), true);
    watcher.close();
    t.mock.timers.tick(10_000);
    assert.deepEqual(unwatched, []);
  });
});
