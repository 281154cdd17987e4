import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { startRig } from '../fleet/rig.ts';
import { describe, measureInTurn, type Bench } from './measure.ts';

const rounds = 15;
const release = fileURLToPath(new URL('../../dist/kompose.js', import.meta.url));
const files = {
  'compose.yaml':
    'services:\n  app:\n    image: busybox:local\n    command: sleep 1d\n    stop_grace_period: 0s\n',
  'hooks.sh': 'hook_pre_ps() { export SEEN=1; echo "before $*"; }\nhook_post_ps() { echo "after $*"; }\n',
};
const byHand = 'cd "$1" && source ./hooks.sh && hook_pre_ps ps && docker compose ps && hook_post_ps ps';

/** Issue: the same hooks and compose command by hand on that host, and through client, controller and agent. */
export const bench: Bench = {
  about:
    'hook_pre_ps, docker compose ps, hook_post_ps on one host: by hand there, and with kompose (release build)',
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'] });
    await using fleet = await KomposeFleet.start({ rig });
    await fleet.writeStack('prod-1', 'app', files);
    const { argvPrefix, env } = rig.host('prod-1');
    const [nsenter = 'env', ...inside] = argvPrefix;
    const stack = join(fleet.stacks('prod-1'), 'app');
    await fleet.kompose(['app', 'up', '-d']);
    const hand = () => execa(nsenter, [...inside, 'bash', '-c', byHand, 'hand', stack], { env });
    const composeOnly = () => execa(nsenter, [...inside, 'docker', 'compose', 'ps'], { env, cwd: stack });
    const kompose = () =>
      execa(process.execPath, [release, 'app', 'ps'], { env: { KOMPOSE_HOME: fleet.home } });
    const nodeOnly = () => execa(process.execPath, ['-e', '0']);
    const samples = await measureInTurn(rounds, { hand, composeOnly, kompose, nodeOnly });
    await fleet.kompose(['app', 'down']);
    for (const each of Object.values(samples)) report(describe(each));
    const { hand: reference, kompose: ours } = samples;
    if (reference === undefined || ours === undefined) throw new Error('a sample is missing');
    const addedMs = ours.medianMs - reference.medianMs;
    const ratio = ours.medianMs / reference.medianMs;
    report(`kompose adds ${addedMs.toFixed(0)} ms: ${ratio.toFixed(2)} times by hand`);
    return { samples, addedMs, ratio };
  },
};
