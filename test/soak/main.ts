import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Random } from '../shuffle/random.ts';
import { AdminClient } from './admin-client.ts';
import { findLeft, gaugesOf, readTables } from './leftovers.ts';
import { allKinds, Load } from './load.ts';
import { writeReport } from './report.ts';
import { sample } from './sampler.ts';
import { SoakFleet, type Program } from './soak-fleet.ts';

/*
 * `npm run soak [-- --minutes 20 --seed N --dry]`: the released controller and agents as their units start them, two agents
 * with real bash under a program in docker's place and 500 light ones, under steady load; what each process takes, every
 * second, goes to docs/plots/soak-*.svg and docs/performance.md (`--dry`: to bench-results/ only). The exit code is 1 if
 * anything is left at the end, a client ended otherwise than it should, or a run is not accounted for.
 *
 * To find out by what something grows: `--only slow,following` of the kinds of load (see load.ts), `--pace 5` with pauses of
 * a fifth, and `--node-options --heapsnapshot-signal=SIGUSR2` for what the controller or the agent holds.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    dry: { type: 'boolean', default: false },
    only: { type: 'string', default: allKinds.join() },
    pace: { type: 'string', default: '1' },
    'node-options': { type: 'string', default: '' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const pace = Number(values.pace);
const asked = values.only.split(',');
const kinds = allKinds.filter((kind) => asked.includes(kind));
if (!(minutes > 0) || !(pace > 0) || !Number.isSafeInteger(seed) || kinds.length !== asked.length) {
  console.error(`npm run soak -- --minutes N --seed N --pace N --only ${allKinds.join()}`);
  process.exit(2);
}

/** At the beginning and at the end nothing is asked for: what is there then is compared. */
const restMs = 30_000;
/** Runs that only read end some seconds after their last watcher. */
const settleMs = 30_000;

console.log(`seed ${seed}, ${minutes} minutes`);
await using fleet = await SoakFleet.start(values['node-options']);
using admin = await AdminClient.open(join(fleet.stubs.home('admin'), 'user'), fleet.stubs.address);
const load = new Load(fleet, { kinds, pace, random: new Random(seed) });
const follower = (): Program => {
  return { name: 'client that follows', host: undefined, pid: load.followerPid, stays: true };
};
const progress = setInterval(
  () => console.log(JSON.stringify({ ...load.counts, faults: load.faults })),
  60_000,
);
const sampling = new AbortController();
const startMs = performance.now();
const sampled = sample(() => [...fleet.programs, follower()], admin, sampling.signal);
const seconds = (): number => (performance.now() - startMs) / 1000;
await delay(restMs);
const before = await gaugesOf(fleet, admin);
const from = seconds();
await load.run(AbortSignal.timeout(minutes * 60_000));
const to = seconds();
clearInterval(progress);
await delay(settleMs + restMs);
sampling.abort();
const samples = await sampled;

const left = await findLeft(fleet, admin, before);
const { runs, states, faults } = readTables(fleet);
const { ended, killed, vanished } = load.counts;
const tasks = Object.entries(states).map(([state, count]) => `${count.toLocaleString('en')} ${state}`);
const found = {
  minutes,
  samples,
  loaded: { from, to, settled: to + settleMs / 1000 },
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
