import { KomposeError } from '../common/errors.ts';
import { splitAddress } from '../proto/enrol.ts';
import { record } from './audit/audit.ts';
import { loadState, saveConfig } from './config.ts';
import { writeBeside } from './write-beside.ts';

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
  const { config } = await loadState(folder);
  if (config.addresses.includes(address)) {
    throw new KomposeError('conflict', `${address} is an address of this controller already`);
  }
  const actor = { name: 'controller', role: 'controller', certificate: '' };
  const entry = { type: 'controller.address-added', actor, detail: { address } } as const;
  await writeBeside(folder, (transaction) => record(transaction, Date.now(), entry));
  await saveConfig(folder, { ...config, addresses: [...config.addresses, address] });
}
