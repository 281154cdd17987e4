import { join } from 'node:path';
import { execa } from 'execa';
import { loadContext } from '../../cli/contexts.ts';
import { freePort } from '../fleet/free-port.ts';
import type { FleetHost } from '../fleet/fleet.ts';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { markdownTable } from './document.ts';
import { describe, measureInTurn, type Bench, type Samples, type Target } from './measure.ts';
import { SshHosts } from './peers/ssh-hosts.ts';
import { Prototype } from './prototype/prototype.ts';

const rounds = 15;
const compose =
  'services:\n  app:\n    image: busybox:local\n    command: sleep 1d\n    stop_grace_period: 0s\n';
const hook = 'hook_pre_ps() { export SEEN=1; echo "before $*"; }\n';
const byHand = 'cd "$1" && docker compose ps';
const byHandWithHook = 'cd "$1" && source ./hooks.sh && hook_pre_ps ps && docker compose ps';

type Way = 'by hand' | 'kompose' | 'prototype' | 'ssh' | 'by hand, with a hook' | 'kompose, with a hook';

interface Result {
  readonly samples: Readonly<Record<Way, Samples>>;
  /** Milliseconds that each takes more than the same by hand. */
  readonly added: Readonly<Record<'kompose' | 'prototype' | 'ssh' | 'hook', number>>;
}

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
    const samples = (await measureInTurn(rounds, {
      'by hand': () => onHost(host, byHand, app),
      kompose: () => ours('app'),
      prototype: () => prototype.run(1, `cd '${app}' && exec docker compose ps`),
      ssh: () => execa('ssh', ssh),
      'by hand, with a hook': () => onHost(host, byHandWithHook, join(fleet.stacks('prod-1'), 'hooked')),
      'kompose, with a hook': () => ours('hooked'),
    })) as Record<Way, Samples>;
    for (const stack of ['app', 'hooked']) await mustRun(fleet, stack, 'down');
    const added = addedBy(samples);
    for (const each of Object.values(samples)) report(describe(each));
    for (const [name, ms] of Object.entries(added)) report(`${name} adds ${ms.toFixed(0)} ms`);
    return { samples, added };
  },
  inDocs,
  targets: ({ added }) => targetsOf(added),
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

function addedBy(samples: Readonly<Record<Way, Samples>>): Result['added'] {
  const more = (way: Way, than: Way): number => samples[way].medianMs - samples[than].medianMs;
  return {
    kompose: more('kompose', 'by hand'),
    prototype: more('prototype', 'by hand'),
    ssh: more('ssh', 'by hand'),
    hook: more('kompose, with a hook', 'kompose') - more('by hand, with a hook', 'by hand'),
  };
}

function targetsOf({ kompose: ours, prototype, ssh, hook: hookMs }: Result['added']): readonly Target[] {
  const what = 'one command on one host: time that is added';
  const ratios = [
    { reference: 'the prototype adds', ratio: ours / prototype, most: 1.15 },
    { reference: 'cold ssh adds', ratio: ours / ssh, most: 0.6 },
  ];
  return [
    ...ratios.map(({ reference, ratio, most }) => ({
      what: `${what}, of what ${reference}`,
      limit: `at most ${most}`,
      measured: ratio.toFixed(2),
      isMet: ratio <= most,
    })),
    {
      what: 'a hook: time more than bash takes by hand',
      limit: 'at most 10 ms',
      measured: `${hookMs.toFixed(0)} ms`,
      isMet: hookMs <= 10,
    },
  ];
}

function inDocs({ samples, added }: Result): string {
  const rows = Object.entries(samples).map(([way, { medianMs, minMs, maxMs }]) => {
    return [way, medianMs.toFixed(0), `${minMs.toFixed(0)}–${maxMs.toFixed(0)}`];
  });
  const table = markdownTable([['', 'ms, median', 'least to most'], ...rows]);
  const ms = (name: keyof Result['added']): string => `${added[name].toFixed(0)} ms`;
  const sums = `Added to what it takes by hand: kompose ${ms('kompose')}, prototype ${ms('prototype')}, ssh ${ms('ssh')}.`;
  return `${table}\n\n${sums} A hook takes ${ms('hook')} more in kompose than by hand.`;
}
