import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../shuffle/random.ts';
import { AdminClient } from './admin-client.ts';
import { findLeft, readTables } from './leftovers.ts';
import { Load } from './load.ts';
import { writeReport } from './report.ts';
import { sample } from './sampler.ts';
import { SoakFleet, type Program } from './soak-fleet.ts';

/*
 * `npm run soak [-- --minutes 20 --seed N --dry]`: the released controller, two agents with real bash under a program in
 * docker's place, and 500 light agents, under steady load; what each process takes, every second, goes to
 * docs/plots/soak-*.svg and docs/performance.md (`--dry`: to bench-results/ only). `--node-options
 * --heapsnapshot-signal=SIGUSR2`: to see what grows in the controller or the agent. The exit code is 1 if anything is left at the end, a
 * client ended otherwise than it should, or a run is not accounted for.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    dry: { type: 'boolean', default: false },
    'node-options': { type: 'string', default: '' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('npm run soak -- --minutes N --seed N');
  process.exit(2);
}

console.log(`seed ${seed}, ${minutes} minutes`);
await using fleet = await SoakFleet.start(values['node-options']);
using admin = await AdminClient.open(join(fleet.stubs.home('admin'), 'user'), fleet.stubs.address);
const load = new Load(fleet, new Random(seed));
const follower = (): Program => {
  return { name: 'client that follows', host: undefined, pid: load.followerPid, stays: true };
};
const over = AbortSignal.timeout(minutes * 60_000);
const progress = setInterval(
  () => console.log(JSON.stringify({ ...load.counts, faults: load.faults })),
  60_000,
);
const [samples] = await Promise.all([
  sample(() => [...fleet.programs, follower()], admin, over),
  load.run(over),
]);
clearInterval(progress);

const left = await findLeft(fleet, admin);
const { runs, states, faults } = readTables(fleet);
const { ended, killed, vanished } = load.counts;
const tasks = Object.entries(states).map(([state, count]) => `${count.toLocaleString('en')} ${state}`);
const found = {
  minutes,
  samples,
  staying: new Set([...fleet.programs, follower()].filter(({ stays }) => stays).map(({ name }) => name)),
  load: `${ended} clients ended, ${killed} were killed, agents vanished ${vanished} times; ${runs} runs with tasks ${tasks.join(', ')}`,
  left,
  faults: [...load.faults, ...faults],
};
const results = new URL('../../bench-results/', import.meta.url);
await mkdir(results, { recursive: true });
await writeFile(
  new URL('soak.json', results),
  JSON.stringify({ ...found, samples: [...samples], staying: [...found.staying] }),
);
if (values.dry) console.log(JSON.stringify({ ...found, samples: undefined }));
else console.log(await writeReport(found));
process.exitCode = left.length + found.faults.length === 0 ? 0 : 1;
