import { pino } from 'pino';
import { createTokenSeed, hashSecret, tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { Refusals } from '../../../controller/audit/refusals.ts';
import { loadState } from '../../../controller/config.ts';
import { Authorities } from '../../../controller/identity/authorities.ts';
import { EnrolmentDesk } from '../../../controller/identity/enrolment.ts';
import { RosterBook } from '../../../controller/identity/roster-book.ts';
import { createToken } from '../../../controller/identity/tokens.ts';
import { databasePath } from '../../../controller/init.ts';
import { defaultLimits } from '../../../controller/services/limits.ts';
import { Store } from '../../../controller/store/store.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import type { LightHost } from './light-agent.ts';

const dayMs = 86_400_000;
const atOnce = 250;

/**
 * Has many hosts join a controller that does not serve yet, by the desk that serves `Join`: over the wire they would
 * have to queue at its rate limit.
 */
export async function joinInBulk(folder: string, names: readonly string[]): Promise<LightHost[]> {
  const authorities = new Authorities(await loadState(folder));
  const store = await Store.open(databasePath(folder));
  try {
    const clock = Date.now;
    const { refusalWindowMs: windowMs, refusalRecords: mostRecords, refusedAddresses } = defaultLimits;
    const log = pino({ level: 'silent' });
    const refusals = new Refusals({
      store,
      clock,
      log,
      windowMs,
      mostRecords,
      mostAddresses: refusedAddresses,
    });
    const roster = await RosterBook.open(store, clock);
    const lives = { hostCertificateMs: 90 * dayMs, userCertificateMs: 365 * dayMs };
    const desk = new EnrolmentDesk({ store, authorities, clock, refusals, roster, ...lives });
    const secret = await agentToken(store, names.length);
    const join = async (name: string): Promise<LightHost> => {
      const { privateKey, request: certificateRequest } = await createCertificateRequest();
      const asked = { secret, name, labels: {}, certificateRequest };
      const { certificate, caCertificates } = await desk.join(asked, { clientAddress: '127.0.0.1' });
      return { name, identity: { privateKey, certificate, caCertificate: caCertificates } };
    };
    const hosts: LightHost[] = [];
    for (let at = 0; at < names.length; at += atOnce)
      hosts.push(...(await Promise.all(names.slice(at, at + atOnce).map(join))));
    return hosts;
  } finally {
    await store.close();
  }
}

async function agentToken(store: Store, uses: number): Promise<string> {
  const { secret } = tokenSecrets(createTokenSeed());
  const asked = { role: 'agent', name: '', replaces: '', labels: {}, ttlMs: dayMs, uses, key: '' };
  const token = { ...asked, createdBy: 'the bench', secretHash: hashSecret(secret) };
  await store.write((transaction) => createToken(transaction, token, Date.now()));
  return secret;
}
