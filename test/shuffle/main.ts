import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { endFleet, jsonLines, startFleet, until, untilKnown, writeStacks } from '../e2e/support.ts';
import { postgresImage } from '../fleet/postgres-image.ts';
import { leftovers, scratchDatabases } from './leftovers.ts';
import { nextMove, type Move } from './moves.ts';
import { Random } from './random.ts';
import { hosts, stacks } from './stacks.ts';

/*
 * `npm run shuffle [-- --minutes 10 --seed N]`: every command, in an order that the seed decides, three at a time,
 * repeated and interrupted, while the controller is killed and links are cut. Then nothing may be left: no process,
 * container, lock, temporary file or scratch database, and no run without its end. Exit code 1 if something is.
 */
const { minutes, seed: seedText } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
}).values;
const seed = Number(seedText);
const endMs = Date.now() + Number(minutes) * 60_000;
const random = new Random(seed);
const codes = new Map<string, number>();
const signals = { 'Ctrl-C': ['SIGINT'], 'Ctrl-C twice': ['SIGINT', 'SIGINT'], kill: ['SIGKILL'] } as const;

console.log(`seed ${seed}, ${minutes} minutes`);
const fleet = await startFleet(hosts, { images: [await postgresImage()] });
try {
  await writeStacks(fleet, stacks);
  await untilKnown(fleet, stacks);
  await Promise.all([player(), player(), player(), troublemaker()]);
  const left = await settle();
  for (const [what, times] of [...codes].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(times).padStart(5)}  ${what}`);
  for (const line of left) console.log(`LEFT  ${line}`);
  console.log(left.length === 0 ? 'nothing is left' : `${left.length} things are left; seed ${seed}`);
  process.exitCode = left.length === 0 ? 0 : 1;
} finally {
  await endFleet(fleet);
}

async function player(): Promise<void> {
  while (Date.now() < endMs) await play(nextMove(random));
}

async function play({ argv, input, interrupt }: Move): Promise<void> {
  const client = fleet.spawnKompose(argv, { timeoutMs: 180_000, ...(input === undefined ? {} : { input }) });
  const ended = new AbortController();
  if (interrupt !== undefined) {
    void pause(interrupt.afterMs, undefined, { signal: ended.signal }).then(
      () => disturb(client, interrupt.kind),
      () => undefined,
    );
  }
  const { exitCode, stderr, timedOut } = await client;
  ended.abort();
  const command = argv.find((word, at) => at > 0 && /^[a-z:]+$/.test(word) && !argv[at - 1]?.startsWith('-'));
  count(`exit ${timedOut ? 'never' : (exitCode ?? 'killed')}  ${interrupt?.kind ?? 'left alone'}`);
  if (timedOut) console.log(`STUCK  ${argv.join(' ')} (${command}): ${stderr.slice(-500)}`);
  if (/internal error|\n\s+at /.test(stderr)) console.log(`BUG  ${argv.join(' ')}: ${stderr.slice(-800)}`);
}

async function disturb(
  client: { kill(signal: NodeJS.Signals): boolean },
  kind: keyof typeof signals | 'cancel',
): Promise<void> {
  if (kind === 'cancel') {
    const [newest] = await runningRuns();
    if (newest !== undefined) await fleet.kompose(['runs', 'cancel', newest]);
    client.kill('SIGINT');
    return;
  }
  for (const signal of signals[kind]) {
    client.kill(signal);
    await pause(100);
  }
}

/** Now and then the controller dies, or a host is cut off for a while. */
async function troublemaker(): Promise<void> {
  while (Date.now() < endMs) {
    await pause(random.between(5_000, 20_000));
    if (random.isTrue(0.3)) {
      count('controller killed');
      await fleet.kill('controller');
      await fleet.startController();
    } else {
      const host = random.pick(hosts);
      count('link cut');
      await fleet.rig.cutLink(host);
      await pause(random.between(200, 6_000));
      await fleet.rig.healLink(host);
    }
  }
}

/** Ends what may go on by itself, brings all down, and says what is left all the same. */
async function settle(): Promise<string[]> {
  await until('both hosts are back', bothOnline, 90_000);
  await until('every run has ended', noneRunning, 120_000).catch(cancelAll);
  await fleet.kompose(['--yes', '*', 'unpause']);
  const up = await fleet.kompose(['shop', 'up', '-d', '--wait'], { timeoutMs: 120_000 });
  if (up.exitCode !== 0) console.log(up.stderr);
  const databases = await Promise.all(hosts.map((host) => untilNone(() => scratchDatabases(fleet, host))));
  for (let round = 0; round < 3; round++) await fleet.kompose(['--yes', '*', 'down', '-v', '--timeout', '1']);
  return [...databases.flat(), ...(await untilNone(() => leftovers(fleet)))];
}

/** Background jobs of hooks have some seconds to end. */
async function untilNone(look: () => Promise<string[]>): Promise<string[]> {
  let left: string[] = [];
  await until('nothing is left', async () => (left = await look()).length === 0, 30_000).catch(
    () => undefined,
  );
  return left;
}

async function bothOnline(): Promise<boolean> {
  const { stdout } = await fleet.kompose(['hosts', 'ls', '-o', 'json']);
  return jsonLines(stdout).filter(({ online }) => online === true).length === hosts.length;
}

async function runningRuns(): Promise<string[]> {
  const { stdout } = await fleet.kompose(['runs', 'ls', '-o', 'json']);
  const rows = jsonLines(stdout) as unknown as { run: string; state: string }[];
  return rows.filter(({ state }) => state === 'running').map(({ run }) => run);
}

async function noneRunning(): Promise<boolean> {
  return (await runningRuns()).length === 0;
}

async function cancelAll(): Promise<void> {
  for (const run of await runningRuns()) {
    console.log(`LONG  run ${run} had to be cancelled`);
    await fleet.kompose(['runs', 'cancel', run]);
  }
}

function count(what: string): void {
  codes.set(what, (codes.get(what) ?? 0) + 1);
}
