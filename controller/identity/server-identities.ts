import { controllerTlsName } from '../../proto/channel-options.ts';
import { splitAddress } from '../../proto/enrol.ts';
import { tlsNamePattern } from '../../proto/trust.ts';
import type { ServerIdentity } from '../services/server-credentials.ts';
import type { Authorities } from './authorities.ts';
import { createServerPair } from './authority.ts';

/** A key and a certificate of the controller for each CA; they are kept in memory only. */
export async function createServerIdentities(
  authorities: Authorities,
  addresses: readonly string[],
  nowMs: number,
): Promise<ServerIdentity[]> {
  const { all, ids, caCertificates } = authorities;
  const hosts = addresses.map((address) => splitAddress(address).host);
  const names = [...new Set([controllerTlsName, tlsNamePattern, ...hosts])];
  const pairs = await Promise.all(all.map((authority) => createServerPair(authority, names, nowMs)));
  return pairs.map(({ privateKey, certificate }, at) => ({
    authority: ids[at] ?? '',
    privateKey,
    certificateChain: certificate + (all[at]?.certificate ?? ''),
    caCertificates,
  }));
}
