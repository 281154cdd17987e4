import { lstat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { KomposeError } from '../common/errors.ts';
import { createTokenSeed, hashSecret, tokenSecrets } from '../common/signing/token-secrets.ts';
import { formatToken } from '../proto/enrolment-token.ts';
import { record } from './audit/audit.ts';
import { loadState } from './config.ts';
import { authorityFingerprint } from './identity/authority.ts';
import { createToken } from './identity/tokens.ts';
import { databasePath } from './init.ts';
import { Store } from './store/store.ts';

const attempts = 5;

/**
 * A login token for a new admin, from the controller's own folder, whether the controller serves or not; in the audit
 * like any other. Whoever logs in with it begins the roster anew: nobody's signature counts any more but theirs, and on
 * hosts that believed another root, nothing of it until they are told. Throws `denied` for anybody but the folder's owner.
 */
export async function recoverController(folder: string): Promise<string> {
  const { config, authority } = await loadState(folder);
  await refuseForeigner(folder);
  const store = await Store.open(databasePath(folder));
  try {
    const seed = createTokenSeed();
    await keepAdminToken(store, hashSecret(tokenSecrets(seed).secret));
    const caFingerprint = authorityFingerprint(authority.certificate);
    return formatToken({ addresses: config.addresses, caFingerprint, seed, root: '', user: 'admin-*' });
  } finally {
    await store.close();
  }
}

/** Not even root: files that it made beside the database would lock the controller out of it. */
async function refuseForeigner(folder: string): Promise<void> {
  const { uid } = await lstat(folder);
  if (uid === userInfo().uid) return;
  const message = `${folder} belongs to another user: do this as its owner, such as by sudo -u '#${uid}'`;
  throw new KomposeError('denied', message);
}

/** A controller that serves may write at the same moment; then the database lets one of the two try again. */
async function keepAdminToken(store: Store, secretHash: string, attempt = 1): Promise<void> {
  const nowMs = Date.now();
  const request = { role: 'admin', name: '', replaces: '', labels: {}, ttlMs: 0, uses: 0 };
  const created = { ...request, createdBy: 'controller recover', secretHash, key: '' };
  try {
    await store.write(async (transaction) => {
      const id = await createToken(transaction, created, nowMs);
      const actor = { name: 'controller', role: 'controller', certificate: '' };
      const detail = { token: id, role: 'admin', by: userInfo().username };
      await record(transaction, nowMs, { type: 'controller.recovered', actor, detail });
    });
  } catch (error) {
    if (attempt >= attempts || !KomposeError.from(error).isRetryable) throw error;
    await keepAdminToken(store, secretHash, attempt + 1);
  }
}
