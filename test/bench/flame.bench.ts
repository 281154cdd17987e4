import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { busyFrames, readProfile, type Frame } from './flame/cpu-profile.ts';
import { flameGraph } from './flame/flame-graph.ts';
import { LightFleet } from './fleet/light-fleet.ts';
import type { Bench } from './measure.ts';

const agents = 1_000;
const runs = 10;
const plot = new URL('../../docs/plots/flame-1000.svg', import.meta.url);

/** Where the controller's processor time goes in runs on many hosts; draws a flame graph of it. */
export const bench: Bench<readonly Share[]> = {
  about: `where the controller's processor time goes in ${runs} runs of \`ps\` on ${agents} light agents`,
  isOnRequest: true,
  async run(report) {
    const profile = await mkdtemp(join(tmpdir(), 'kompose-profile-'));
    const program = fileURLToPath(new URL('../../bin/kompose.ts', import.meta.url));
    try {
      await using fleet = await LightFleet.create(agents);
      await fleet.startController([
        '--cpu-prof',
        `--cpu-prof-dir=${profile}`,
        '--cpu-prof-interval=500',
        program,
      ]);
      await fleet.startAgents();
      for (let run = 0; run < runs; run++)
        report(`run ${run + 1}: ${(await fleet.user.run('ps')).ms.toFixed(0)} ms`);
      await fleet.stopController('SIGTERM');
      const root = busyFrames(await readProfile(profile));
      await mkdir(new URL('.', plot), { recursive: true });
      await writeFile(
        plot,
        flameGraph(root, `kompose-controller: ${agents} hosts come, ${runs} runs on all of them`),
      );
      const shares = sharesOf(root);
      for (const { name, share } of shares) report(`${(share * 100).toFixed(1).padStart(5)} %  ${name}`);
      return shares;
    } finally {
      await rm(profile, { recursive: true });
    }
  },
};

interface Share {
  readonly name: string;
  /** Of all; of the function itself, without what it called. */
  readonly share: number;
}

const shown = Number(process.env['FLAME_SHOWN'] ?? 25);

function sharesOf(root: Frame): Share[] {
  const own = new Map<string, number>();
  const add = ({ name, totalUs, children }: Frame): void => {
    const called = children.reduce((sum, each) => sum + each.totalUs, 0);
    own.set(name, (own.get(name) ?? 0) + totalUs - called);
    children.forEach(add);
  };
  add(root);
  const all = [...own].map(([name, us]) => ({ name, share: us / root.totalUs }));
  return all.toSorted((a, b) => b.share - a.share).slice(0, shown);
}
