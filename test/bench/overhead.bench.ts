import { join } from 'node:path';
import { execa } from 'execa';
import { loadContext } from '../../cli/contexts.ts';
import { freePort } from '../fleet/free-port.ts';
import type { FleetHost } from '../fleet/fleet.ts';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { markdownTable } from './document.ts';
import { describe, summarise, type Bench, type Samples, type Target } from './measure.ts';
import { describeEstimate, estimate, measureRounds, median, type Estimate, type Round } from './paired.ts';
import { SshHosts } from './peers/ssh-hosts.ts';
import { Prototype } from './prototype/prototype.ts';

/** With the rig's start this is a minute, or a little more. */
const length = { budgetMs: 45_000, fewest: 15 };
const compose =
  'services:\n  app:\n    image: busybox:local\n    command: sleep 1d\n    stop_grace_period: 0s\n';
const hook = 'hook_pre_ps() { export SEEN=1; echo "before $*"; }\n';
const byHand = 'cd "$1" && docker compose ps';
const byHandWithHook = 'cd "$1" && source ./hooks.sh && hook_pre_ps ps && docker compose ps';

type Way = 'by hand' | 'kompose' | 'prototype' | 'ssh' | 'by hand, with a hook' | 'kompose, with a hook';

type Added = 'kompose' | 'prototype' | 'ssh' | 'hook';
type Ratio = 'of the prototype' | 'of ssh';

interface Result {
  readonly samples: Readonly<Record<Way, Samples>>;
  readonly rounds: number;
  /** Milliseconds more than by hand. */
  readonly added: Readonly<Record<Added, Estimate>>;
  /** Of what kompose adds. */
  readonly ratios: Readonly<Record<Ratio, Estimate>>;
}

/** What one round says: each difference is of its own round, whatever the machine did meanwhile. */
const addedIn: Readonly<Record<Added, (round: Round<Way>) => number>> = {
  kompose: (round) => round.kompose - round['by hand'],
  prototype: (round) => round.prototype - round['by hand'],
  ssh: (round) => round.ssh - round['by hand'],
  hook: (round) =>
    round['kompose, with a hook'] - round.kompose - (round['by hand, with a hook'] - round['by hand']),
};

/** What one waits longer than for the same command typed on the host itself. */
export const bench: Bench<Result> = {
  about:
    'docker compose ps on one host: by hand there, and from elsewhere with kompose (release build), a prototype and ssh',
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'] });
    await using fleet = await KomposeFleet.start({ rig });
    await fleet.writeStack('prod-1', 'app', { 'compose.yaml': compose });
    await fleet.writeStack('prod-1', 'hooked', { 'compose.yaml': compose, 'hooks.sh': hook });
    for (const stack of ['app', 'hooked']) await mustRun(fleet, stack, 'up', '-d');
    const host = rig.host('prod-1');
    await using prototype = await startPrototype(fleet, host);
    const { address, argvPrefix } = host;
    await using sshHosts = await SshHosts.start({ addresses: [address], argvPrefix });
    const env = { KOMPOSE_HOME: fleet.home };
    const ours = (stack: string) => execa(process.execPath, [kompose, stack, 'ps'], { env, stdin: 'ignore' });
    const app = join(fleet.stacks('prod-1'), 'app');
    const ssh = ['-n', '-F', sshHosts.coldConfig, address, remoteWords(host, app)];
    const subjects: Record<Way, () => Promise<unknown>> = {
      'by hand': () => onHost(host, byHand, app),
      kompose: () => ours('app'),
      prototype: () => prototype.run(1, `cd '${app}' && exec docker compose ps`),
      ssh: () => execa('ssh', ssh),
      'by hand, with a hook': () => onHost(host, byHandWithHook, join(fleet.stacks('prod-1'), 'hooked')),
      'kompose, with a hook': () => ours('hooked'),
    };
    const rounds = await measureRounds(subjects, length);
    for (const stack of ['app', 'hooked']) await mustRun(fleet, stack, 'down');
    const result = sumUp(rounds);
    tell(result, report);
    return result;
  },
  inDocs,
  targets: targetsOf,
};

async function mustRun(fleet: KomposeFleet, ...words: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await fleet.kompose(words);
  if (exitCode !== 0) throw new Error(`kompose ${words.join(' ')}: ${stderr}`);
}

/** Its agent is inside the host, with the admin's certificate: it asks for no more than that the fleet's CA signed it. */
async function startPrototype({ folder, home, rig }: KomposeFleet, host: FleetHost): Promise<Prototype> {
  const identity = await loadContext(join(home, 'user'), undefined);
  const address = `${rig.controllerAddress}:${await freePort()}`;
  const agent = { hosts: [{ name: host.name, identity }], argvPrefix: host.argvPrefix, env: host.env };
  return Prototype.start({ address, state: join(folder, 'controller', 'controller'), agents: [agent] });
}

function onHost({ argvPrefix, env }: FleetHost, script: string, stack: string) {
  const [file, ...words] = [...argvPrefix, 'bash', '-c', script, 'hand', stack];
  return execa(file, words, { env, stdin: 'ignore' });
}

/** For the shell that sshd starts there. */
function remoteWords({ env }: FleetHost, stack: string): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}='${value}'`);
  return ['cd', `'${stack}'`, '&&', 'exec', 'env', ...variables, 'docker', 'compose', 'ps'].join(' ');
}

function sumUp(rounds: readonly Round<Way>[]): Result {
  const added = (what: Added) => (some: readonly Round<Way>[]) => median(some.map(addedIn[what]));
  const ratio = (than: Added): Estimate =>
    estimate(rounds, (some) => added('kompose')(some) / added(than)(some));
  const timesOf = (way: Way): Samples =>
    summarise(
      way,
      rounds.map((round) => round[way]),
    );
  return {
    rounds: rounds.length,
    samples: {
      'by hand': timesOf('by hand'),
      kompose: timesOf('kompose'),
      prototype: timesOf('prototype'),
      ssh: timesOf('ssh'),
      'by hand, with a hook': timesOf('by hand, with a hook'),
      'kompose, with a hook': timesOf('kompose, with a hook'),
    },
    added: {
      kompose: estimate(rounds, added('kompose')),
      prototype: estimate(rounds, added('prototype')),
      ssh: estimate(rounds, added('ssh')),
      hook: estimate(rounds, added('hook')),
    },
    ratios: { 'of the prototype': ratio('prototype'), 'of ssh': ratio('ssh') },
  };
}

function tell({ samples, rounds, added, ratios }: Result, report: (line: string) => void): void {
  report(`${rounds} rounds`);
  for (const each of Object.values(samples)) report(describe(each));
  for (const [name, ms] of Object.entries(added)) report(`${name} adds ${describeEstimate(ms, 0)} ms`);
  for (const [name, each] of Object.entries(ratios)) report(`kompose ${name}: ${describeEstimate(each, 2)}`);
}

function targetsOf({ added, ratios }: Result): readonly Target[] {
  const what = 'one command on one host: time that is added';
  const limits = [
    { reference: 'the prototype adds', ratio: ratios['of the prototype'], most: 1.15 },
    { reference: 'cold ssh adds', ratio: ratios['of ssh'], most: 0.6 },
  ];
  return [
    ...limits.map(({ reference, ratio, most }) => ({
      what: `${what}, of what ${reference}`,
      limit: `at most ${most}`,
      measured: describeEstimate(ratio, 2),
      isMet: ratio.value <= most,
    })),
    {
      what: 'a hook: time more than bash takes by hand',
      limit: 'at most 10 ms',
      measured: `${describeEstimate(added.hook, 0)} ms`,
      isMet: added.hook.value <= 10,
    },
  ];
}

function inDocs({ samples, rounds, added, ratios }: Result): string {
  const rows = Object.entries(samples).map(([way, { medianMs, minMs, maxMs }]) => {
    return [way, medianMs.toFixed(0), `${minMs.toFixed(0)}–${maxMs.toFixed(0)}`];
  });
  const times = markdownTable([['', 'ms, median', 'least to most'], ...rows]);
  const ms = (name: Added): string => describeEstimate(added[name], 0);
  const sums = markdownTable([
    ['more than by hand', 'ms, median', 'kompose, of that'],
    ['kompose', ms('kompose'), ''],
    ['prototype', ms('prototype'), describeEstimate(ratios['of the prototype'], 2)],
    ['ssh', ms('ssh'), describeEstimate(ratios['of ssh'], 2)],
    ['a hook in kompose, more than that hook by hand', ms('hook'), ''],
  ]);
  const how = `${rounds} rounds, each of all six, in turned order. A difference is taken within a round; in brackets, where its median, or the ratio of two, lies with 95 % certainty.`;
  return `${times}\n\n${how}\n\n${sums}`;
}
