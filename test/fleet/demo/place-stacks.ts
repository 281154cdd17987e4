import { appendFile, chmod, cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setInterval } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { KomposeFleet } from '../kompose-fleet.ts';
import type { Ground } from './ground.ts';

const stacksFolder = fileURLToPath(new URL('stacks', import.meta.url));

/** Which stacks a host has, by its name. */
export type Places = Readonly<Record<string, readonly string[]>>;

/** Copies the stacks of ./stacks to their hosts, and waits until the controller knows of all. */
export async function placeStacks(
  fleet: KomposeFleet,
  ground: Ground,
  { places, env }: { places: Places; env: (host: string) => Readonly<Record<string, string>> },
): Promise<void> {
  for (const [host, stacks] of Object.entries(places)) {
    const root = fleet.stacks(host);
    await writeFile(join(root, '.env'), envFile(env(host)));
    for (const stack of stacks) {
      await cp(join(stacksFolder, stack), join(root, stack), { recursive: true });
      await chmod(join(root, stack, 'hooks.sh'), 0o750); // whatever the umask made of it
      await nameProject(join(root, stack, '.env'), stack, ground.projectSuffix(host));
    }
  }
  await untilKnown(fleet, Object.values(places).flat().length);
}

function envFile(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** On a shared engine a stack's name can be somebody else's. */
async function nameProject(env: string, stack: string, suffix: string): Promise<void> {
  if (suffix !== '') await appendFile(env, `COMPOSE_PROJECT_NAME=${stack}${suffix}\n`);
}

async function untilKnown(fleet: KomposeFleet, count: number, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for await (const _ of setInterval(100)) {
    const { stdout } = await fleet.kompose(['stacks', '-o', 'json']);
    const known = stdout.split('\n').filter((line) => line !== '').length;
    if (known === count) return;
    if (Date.now() > deadline) throw new Error(`the controller knows of ${known} stacks, not ${count}`);
  }
}
