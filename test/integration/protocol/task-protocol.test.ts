import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { allAtOnce } from '../../../common/rollout.ts';
import { happenings } from './commands.ts';
import { hostNames, offlineWaitMs, prepareController } from './controller-core.ts';
import { World, type WorldChoice } from './world.ts';

const choices: fc.Arbitrary<WorldChoice> = fc.record({
  linked: fc.constantFrom(0, 1, 2, 2),
  rollout: fc.constantFrom(0, 1, 2).map((parallel) => ({ ...allAtOnce, parallel })),
  offline: fc.constantFrom({ kind: 'wait', waitMs: offlineWaitMs }, { kind: 'fail' }),
});

/** A world in a folder of its own, from a prepared controller; the clock stands still. */
async function makeFolder(t: TestContext): Promise<{ folder: string; template: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'kompose-protocol-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const template = join(folder, 'template');
  await mkdir(template);
  await prepareController(template);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  return { folder, template };
}

test('a task whose host was asked for it, and then waited for with its next, is not taken for one that was never asked for', async (t) => {
  const { folder, template } = await makeFolder(t);
  const world = await World.create(template, join(folder, 'world'), {
    linked: 0,
    rollout: { ...allAtOnce, parallel: 2 },
    offline: { kind: 'wait', waitMs: offlineWaitMs },
  });
  t.after(() => world.close());
  const [other, host] = world.hosts;
  assert.ok(other !== undefined && host !== undefined);
  await world.link(host);
  const [task] = host.running;
  assert.ok(task !== undefined);
  host.goOn(task, undefined);
  world.links[0]?.drop();
  await world.link(other);
  await world.killController();
  host.goOn(task, undefined);
  await world.cancel();
  await world.heal();
  await world.check();
});

test('every task starts at most once and ends as its agent says, whatever becomes of messages, links and processes', async (t) => {
  const { folder, template } = await makeFolder(t);
  const property = fc.asyncProperty(choices, happenings, async (choice, commands) => {
    const own = mkdtempSync(join(folder, 'world-'));
    const world = await World.create(template, own, choice);
    try {
      await fc.asyncModelRun(
        () => ({ model: { linked: hostNames.map((_, at) => at < choice.linked) }, real: world }),
        commands,
      );
      await world.heal();
      await world.check();
    } finally {
      await world.close();
      rmSync(own, { recursive: true });
    }
  });
  // Among these a host says anew what it has while the controller is busy with what it has said before.
  await fc.assert(property, { numRuns: 60, seed: 2147043992 });
  await fc.assert(property, { numRuns: 100 });
});
