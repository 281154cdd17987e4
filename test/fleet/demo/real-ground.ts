import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { rigVariable } from '../rig-processes.ts';
import { startRig } from '../rig.ts';
import type { Ground, GroundOptions } from './ground.ts';
import { demoImages } from './images.ts';

/** Three hosts with a network and an engine of their own. The rig's keeper ends all that bears its mark. */
export async function realGround({ hosts, signal, report }: GroundOptions): Promise<Ground> {
  report('starting three Docker hosts');
  const rig = await startRig({ hosts, signal, report });
  try {
    for (const image of await demoImages()) await rig.loadImage(image);
    const [first] = rig.hosts;
    if (first === undefined) throw new Error('a demo needs a host');
    const folder = join(first.folder, 'demo');
    await mkdir(folder, { mode: 0o700 });
    return {
      rig,
      about: 'three Docker hosts, each with its own network, engine and images',
      folder,
      mark: { [rigVariable]: first.env[rigVariable] ?? '' },
      projectSuffix: () => '',
      stop: () => rig.stop(),
    };
  } catch (error) {
    await rig.stop();
    throw error;
  }
}
