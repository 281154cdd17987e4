import { KomposeError } from '../common/errors.ts';
import { controllerTlsName } from '../proto/channel-options.ts';
import { splitAddress } from '../proto/enrol.ts';
import { record } from './audit/audit.ts';
import { loadState, saveServer } from './config.ts';
import { createServerPair } from './identity/authority.ts';
import { databasePath } from './init.ts';
import { Store } from './store/store.ts';

/** HOST:PORT that agents and users dial. Throws `failed` where there is no controller. */
export async function listAddresses(folder: string): Promise<readonly string[]> {
  return (await loadState(folder)).config.addresses;
}

/**
 * One more address: a name more in the server's certificate, and in tokens made later. A controller that serves takes
 * both up by itself. Throws `usage`, and `conflict` for one that is there.
 */
export async function addAddress(folder: string, address: string): Promise<void> {
  splitAddress(address);
  const { config, authority } = await loadState(folder);
  if (config.addresses.includes(address)) {
    throw new KomposeError('conflict', `${address} is an address of this controller already`);
  }
  const addresses = [...config.addresses, address];
  const hosts = addresses.map((each) => splitAddress(each).host);
  const names = [...new Set([controllerTlsName, ...hosts])];
  const server = await createServerPair(authority, names, Date.now());
  const store = await Store.open(databasePath(folder));
  try {
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    const entry = { type: 'controller.address-added', actor, detail: { address } } as const;
    await store.write((transaction) => record(transaction, Date.now(), entry));
    await saveServer(folder, { config: { ...config, addresses }, server });
  } finally {
    await store.close();
  }
}
