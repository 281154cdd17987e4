import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hosts, startChaosFleet } from '../chaos/chaos-fleet.ts';
import { none, playRound } from '../chaos/round.ts';
import { kinds } from '../chaos/troubles.ts';
import { strayProcesses } from '../shuffle/leftovers.ts';
import { endFleet } from './support.ts';

/* The short form of `npm run chaos`: each trouble once, in the middle of a run of a few megabytes. */
const fleet = await startChaosFleet();
after(() => endFleet(fleet));

for (const [at, kind] of kinds.entries()) {
  test(`${kind}: nothing is lost, doubled, or started twice`, { timeout: 120_000 }, async () => {
    const host = hosts[at % hosts.length] ?? hosts[0];
    const trouble = { kind, host, since: 'begun', afterMs: 50, forMs: 1500 } as const;
    const result = await playRound(fleet, { megabytes: 3, trouble });
    assert.deepEqual(result, { counts: none, faults: [] });
  });
}

test('no process is left', async () => {
  assert.deepEqual(await strayProcesses(fleet), []);
});
