import { join } from 'node:path';
import { KomposeError } from '../common/errors.ts';
import { createTokenSeed, hashSecret, tokenSecrets } from '../common/signing/token-secrets.ts';
import { formatToken } from '../proto/enrolment-token.ts';
import { splitAddress } from '../proto/enrol.ts';
import { record } from './audit/audit.ts';
import { createAuditKey } from './audit/audit-key.ts';
import { ensurePrivateFolder } from '../common/private-files.ts';
import { isInitialised, saveState } from './config.ts';
import { authorityFingerprint, createAuthority } from './identity/authority.ts';
import { createToken } from './identity/tokens.ts';
import { Store } from './store/store.ts';

const databaseFile = 'kompose.db';

export function databasePath(folder: string): string {
  return join(folder, databaseFile);
}

/** Makes the controller's state; returns the first admin's login token. Throws `conflict` the second time. */
export async function initController(folder: string, addresses: readonly string[]): Promise<string> {
  for (const address of addresses) splitAddress(address);
  if (await isInitialised(folder)) {
    throw new KomposeError('conflict', `there is a controller in ${folder} already; it was left as it is`);
  }
  await ensurePrivateFolder(folder);
  const authority = await createAuthority(Date.now());
  const store = await Store.open(databasePath(folder));
  try {
    const seed = await firstToken(store);
    const auditKey = createAuditKey();
    await saveState(folder, { config: { addresses }, authority, auditKey });
    const caFingerprint = authorityFingerprint(authority.certificate);
    return formatToken({ addresses, caFingerprint, seed, root: '', user: 'admin' });
  } finally {
    await store.close();
  }
}

/** Whoever logs in with it begins the roster. Gives the token's seed. */
async function firstToken(store: Store): Promise<string> {
  const seed = createTokenSeed();
  const request = {
    role: 'admin',
    name: 'admin',
    replaces: '',
    labels: {},
    ttlMs: 0,
    uses: 0,
    createdBy: 'controller init',
    secretHash: hashSecret(tokenSecrets(seed).secret),
    key: '',
  };
  return store.write(async (transaction) => {
    const id = await createToken(transaction, request, Date.now());
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    await record(transaction, Date.now(), {
      type: 'token.created',
      actor,
      detail: { token: id, role: 'admin' },
    });
    return seed;
  });
}
