import { AuditWitness } from './audit-witness.ts';
import { Fleet } from './client.ts';
import type { Settings } from './config.ts';
import { loadContext } from './contexts.ts';
import type { GlobalOptions } from './options.ts';

/** The link that the options, the environment and the login ask for, in this order. */
export async function connect(settings: Settings, { controller, context }: GlobalOptions): Promise<Fleet> {
  const identity = await loadContext(settings.userFolder, context);
  const address = controller ?? settings.controller;
  const addresses = address === undefined ? identity.addresses : [address];
  return Fleet.connect(addresses, identity, new AuditWitness(identity.folder));
}
