import { parseArgs } from 'node:util';
import { endFleet } from '../e2e/support.ts';
import { Random } from '../shuffle/random.ts';
import { strayProcesses } from '../shuffle/leftovers.ts';
import { hosts, startChaosFleet } from './chaos-fleet.ts';
import { none, playRound } from './round.ts';
import { anyTrouble, kinds } from './troubles.ts';

/*
 * `npm run chaos [-- --rounds 200 --seed N --most 50]`: rounds of a run over three engines, each with 1 MB to 50 MB of
 * numbered output a task, while somebody is killed, frozen or cut off at a random moment. It counts tasks started
 * twice, bytes lost and doubled, targets that did not succeed, audit records missing, and processes left: all must be
 * zero, and no client may end otherwise than with 0, else the exit code is 1. The same seed makes the same rounds, as far as their timing goes.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    most: { type: 'string', default: '50' },
  },
});
const [rounds, seed, most] = [values.rounds, values.seed, values.most].map(Number) as [
  number,
  number,
  number,
];
const random = new Random(seed);

console.log(`seed ${seed}, ${rounds} rounds, up to ${most} MB a task`);
const fleet = await startChaosFleet();
try {
  const sum = { ...none, processesLeft: 0 };
  let accepted = 0;
  let faults = 0;
  for (let round = 1; round <= rounds; round++) {
    // As many small ones as large ones, by order of magnitude.
    const megabytes = Math.round(most ** random.next());
    const kind = kinds[round % kinds.length] ?? kinds[0];
    const trouble = anyTrouble(random, kind, hosts, 400 + megabytes * 60);
    const result = await playRound(fleet, { megabytes, trouble });
    const what = `${round}  ${trouble.kind} after ${trouble.afterMs} ms for ${trouble.forMs} ms, ${trouble.host}, ${megabytes} MB`;
    if (result === undefined) {
      console.log(`${what}: no run was accepted`);
      continue;
    }
    accepted++;
    faults += result.faults.length;
    for (const [name, count] of Object.entries(result.counts)) sum[name as keyof typeof none] += count;
    console.log(result.faults.length === 0 ? what : [what, ...result.faults].join('\n    FAULT  '));
  }
  const left = await strayProcesses(fleet);
  sum.processesLeft = left.length;
  for (const line of left) console.log(`LEFT  ${line}`);
  console.log(`${accepted} runs, ${faults} faults:`, sum);
  process.exitCode = faults === 0 && Object.values(sum).every((count) => count === 0) ? 0 : 1;
} finally {
  await endFleet(fleet);
}
