import { idleService, startFleet, untilKnown, writeStacks } from '../e2e/support.ts';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { hooks } from './numbered-output.ts';

export const hosts = ['north', 'east', 'west'] as const;

/** Three hosts, each with the stack `chaos`; who falls silent is missed after some seconds. */
export async function startChaosFleet(): Promise<KomposeFleet> {
  const fleet = await startFleet(hosts, { controllerEnv: { KOMPOSE_HEARTBEAT: '1s' } });
  const files = { 'compose.yaml': idleService, 'hooks.sh': hooks };
  const stacks = Object.fromEntries(hosts.map((host) => [`${host}:chaos`, files]));
  await writeStacks(fleet, stacks);
  await untilKnown(fleet, stacks);
  return fleet;
}
