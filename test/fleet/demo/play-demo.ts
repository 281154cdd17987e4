import { once } from 'node:events';
import { KomposeFleet } from '../kompose-fleet.ts';
import { makeGround, type Ground } from './ground.ts';
import { Monitoring } from './monitoring.ts';
import { placeStacks, type Places } from './place-stacks.ts';
import { say, Stage } from './stage.ts';
import { story } from './story.ts';
import { Witness } from './witness.ts';

const places: Places = {
  'prod-1': ['sexy', 'news'],
  'prod-2': ['sexy', 'blog'],
  'staging-1': ['news', 'shop'],
};

const labels = {
  'prod-1': { env: 'prod' },
  'prod-2': { env: 'prod' },
  'staging-1': { env: 'staging' },
};

export interface DemoOptions {
  /** Stay, with everything up, until the signal comes. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** The whole demo. Returns, or throws, when nothing of it is left. */
export async function playDemo(options: DemoOptions): Promise<void> {
  const begin = Date.now();
  const report = (line: string): void => say(`  ${line} …`, 'dim');
  say('kompose runs docker compose stacks, with hooks, on many hosts. Setting up a small fleet:');
  const ground = await makeGround({ hosts: Object.keys(places), signal: options.signal, report });
  try {
    process.env['TMPDIR'] = ground.folder; // whatever is started from here on leaves its files there
    report('starting a controller, and an agent on each host');
    await onGround(ground, options, begin);
    if (!options.signal.aborted) report('cleaning up');
  } finally {
    await ground.stop().catch(leftBehind);
  }
  say(`Nothing is left of it, after ${seconds(Date.now() - begin)} in all.`);
  if (!options.keep) farewell();
}

/** The demo could not remove all that it made. */
export class LeftBehind extends Error {
  override name = 'LeftBehind';
}

function leftBehind(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new LeftBehind(`something was left behind: ${reason}`, { cause });
}

async function onGround(ground: Ground, { keep, signal }: DemoOptions, begin: number): Promise<void> {
  signal.throwIfAborted();
  using monitoring = await Monitoring.start(ground.rig.controllerAddress);
  await using fleet = await KomposeFleet.start({ rig: ground.rig, labels, controllerEnv: ground.mark });
  signal.throwIfAborted();
  const env = (host: string): Record<string, string> => ({
    ENVIRONMENT: host.startsWith('prod') ? 'production' : 'staging',
    MONITORING_URL: monitoring.url,
  });
  await placeStacks(fleet, ground, { places, env });
  introduce(ground, fleet, Date.now() - begin);

  const userEnv = { ...ground.mark, KOMPOSE_HOME: fleet.home, KOMPOSE_CONTROLLER: undefined };
  const stage = await Stage.build(fleet.folder, userEnv, signal);
  const { acts, finale } = story(new Witness(ground, fleet), monitoring);
  const program = keep ? acts : [...acts, finale];
  for (const [index, act] of program.entries()) await stage.play(act, `${index + 1} of ${program.length}`);

  stage.line();
  say(`All ${program.length} commands came out as they should.`, 'bold');
  if (!keep) return;
  invite(ground, fleet, stage);
  await once(signal, 'abort');
}

function introduce(ground: Ground, fleet: KomposeFleet, setUpMs: number): void {
  say(`Ready after ${seconds(setUpMs)}: ${ground.about};`);
  say(`a controller at ${fleet.address}, and an agent on each host. Their stacks:`);
  say('');
  for (const [host, stacks] of Object.entries(places)) say(`  ${host.padEnd(10)} ${stacks.join(', ')}`);
  say('');
  say('Compose files, hooks and .env of the stacks are in test/fleet/demo/stacks.');
  const suffix = ground.projectSuffix('prod-1');
  if (suffix !== '') say(`Their compose projects are named like sexy${suffix}: nothing of yours is touched.`);
}

function farewell(): void {
  say('');
  say('To have the fleet to yourself, with the stacks up, until Ctrl-C:');
  say('');
  say('  npm run demo -- --keep');
  say('');
  say('It tells what to type in another terminal, for instance:');
  say('');
  for (const line of suggestions) say(`  ${line}`);
}

/** What there is to try by hand. */
const suggestions = [
  'kompose --list',
  'kompose "prod-*:sexy" ps',
  'kompose --label env=prod "*" restart',
  'kompose runs ls',
  'kompose --help',
];

function invite(ground: Ground, fleet: KomposeFleet, stage: Stage): void {
  say('The fleet is yours now. In another terminal:');
  say('');
  say(`  export KOMPOSE_HOME=${fleet.home}`);
  say(`  export PATH=${stage.bin}:$PATH`);
  for (const line of suggestions) say(`  ${line}`);
  say('');
  say('The stacks, to be changed as you like (hooks are read anew at each run):');
  say('');
  for (const { name } of ground.rig.hosts) say(`  ${name.padEnd(10)} ${fleet.stacks(name)}`);
  say('');
  say('The engines, to look behind the scenes:');
  say('');
  for (const { name, dockerHost } of ground.rig.hosts) {
    const engine = dockerHost === undefined ? '' : `DOCKER_HOST=${dockerHost} `;
    say(`  ${name.padEnd(10)} ${engine}docker ps`);
  }
  say('');
  say('Ctrl-C in this terminal ends it all and leaves nothing.', 'bold');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
