import { join } from 'node:path';
import { AuditWitness } from './audit-witness.ts';
import { Fleet } from './client.ts';
import type { Settings } from './config.ts';
import { loadContext } from './contexts.ts';
import { LoginRoster, rosterFile } from './login-roster.ts';
import type { GlobalOptions } from './options.ts';
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
  const fleet = await Fleet.connect(addresses, identity, { auditWitness: new AuditWitness(folder), roster });
  if (isRenewalDue(identity)) await renewLogin(identity, fleet.address, warn);
  atEnd(async () => {
    if (fleet.isTrustStale) await renewLogin(identity, fleet.address, warn);
  });
  return fleet;
}
