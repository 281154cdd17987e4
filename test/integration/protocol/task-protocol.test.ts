import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
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

test('every task starts at most once and ends as its agent says, whatever becomes of messages, links and processes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kompose-protocol-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const template = join(folder, 'template');
  await mkdir(template);
  await prepareController(template);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
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
  await fc.assert(property, { numRuns: 100 });
});
