import { join } from 'node:path';
import { AuditWitness } from './audit-witness.ts';
import { askAuditHead } from './audit-head.ts';
import { Fleet, type LoginMemory } from './client.ts';
import type { Settings } from './config.ts';
import { loadContext, type Context } from './contexts.ts';
import { LoginRoster, rosterFile } from './login-roster.ts';
import type { GlobalOptions } from './globals.ts';
import { isRenewalDue, renewLogin } from './renew-login.ts';

/**
 * The link that the options, the environment and the login ask for, in this order. The login's certificate is renewed
 * when it is time, and in the end, by `atEnd`, when the controller has asked for it; `warn` gets a line where that
 * fails and the end is near.
 */
export async function connect(
  settings: Settings,
  { controller, context }: GlobalOptions,
  warn: (text: string) => void,
  atEnd: (work: () => Promise<void>) => void = () => undefined,
): Promise<Fleet> {
  const identity = await loadContext(settings.userFolder, context);
  const address = controller ?? settings.controller;
  const addresses = address === undefined ? identity.addresses : [address];
  const { folder, root, signingKey } = identity;
  const roster = new LoginRoster(join(folder, rosterFile), root, signingKey);
  const memory = { auditWitness: new AuditWitness(folder), roster };
  const fleet = await Fleet.connect(addresses, identity, memory);
  if (isRenewalDue(identity)) await renewLogin(identity, fleet.address, warn);
  atEnd(async () => {
    if (memory.auditWitness.isBehind) await followAuditKey(fleet.address, identity, memory);
    if (fleet.isTrustStale) await renewLogin(identity, fleet.address, warn);
  });
  return fleet;
}

/** Where it cannot be followed now, it is next time; `kompose doctor` tells of one that never can. */
async function followAuditKey(address: string, identity: Context, memory: LoginMemory): Promise<void> {
  try {
    using fleet = await Fleet.connect([address], identity, memory);
    await askAuditHead(fleet);
  } catch {
    // The command itself has done what it was to do.
  }
}
