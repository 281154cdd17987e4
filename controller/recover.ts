import { userInfo } from 'node:os';
import { createTokenSeed, hashSecret, tokenSecrets } from '../common/signing/token-secrets.ts';
import { formatToken } from '../proto/enrolment-token.ts';
import { record } from './audit/audit.ts';
import { loadState } from './config.ts';
import { authorityFingerprint } from './identity/authority.ts';
import { createToken } from './identity/tokens.ts';
import { requireOwner, writeBeside } from './write-beside.ts';

/**
 * A login token for a new admin, from the controller's own folder, whether the controller serves or not; in the audit
 * like any other. Whoever logs in with it begins the roster anew: nobody's signature counts any more but theirs, and on
 * hosts that believed another root, nothing of it until they are told. Throws `denied` for anybody but the folder's owner.
 */
export async function recoverController(folder: string): Promise<string> {
  const { config, authority } = await loadState(folder);
  await requireOwner(folder);
  const seed = createTokenSeed();
  await keepAdminToken(folder, hashSecret(tokenSecrets(seed).secret));
  const caFingerprint = authorityFingerprint(authority.certificate);
  return formatToken({ addresses: config.addresses, caFingerprint, seed, root: '', user: 'admin-*' });
}

async function keepAdminToken(folder: string, secretHash: string): Promise<void> {
  const nowMs = Date.now();
  const request = { role: 'admin', name: '', replaces: '', labels: {}, ttlMs: 0, uses: 0 };
  const created = { ...request, createdBy: 'controller recover', secretHash, key: '' };
  await writeBeside(folder, async (transaction) => {
    const id = await createToken(transaction, created, nowMs);
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    const detail = { token: id, role: 'admin', by: userInfo().username };
    await record(transaction, nowMs, { type: 'controller.recovered', actor, detail });
  });
}
