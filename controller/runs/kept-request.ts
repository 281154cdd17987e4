import { isSecretName } from '../../common/redaction/secret-name.ts';
import { openOrder, type OrderValues, type Variable } from '../../common/signing/order.ts';
import { KomposeError } from '../../common/errors.ts';
import { decodeOrder } from '../../proto/order-codec.ts';
import type { OfflinePolicy, RolloutOptions } from '../../common/rollout.ts';
import type { KeptWord } from './kept-words.ts';
import type { RunRequest } from './run-request.ts';

/** What --network sets. */
const networkVariable = 'NETWORK_NAME';

/**
 * What of a request is kept in the store, as JSON, so that the run goes on after a restart and `runs retry` can repeat it:
 * no value of a secret.
 */
export interface KeptRequest {
  /** Variables of -e whose values may be kept. */
  readonly env: Readonly<Record<string, string>>;
  /** Those whose values may not. */
  readonly secretNames: readonly string[];
  /** Of --network, if it may be kept. */
  readonly network?: string;
  /** What opens those values in what was signed, base64, by name; of the network by no name. */
  readonly salts: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
  readonly detach: boolean;
}

/**
 * A variable whose value may not be kept as it is, is as secret as one whose name says so; a network that may not is
 * asked for again as the variable that it sets. Pure.
 */
export function keepRequest(request: RunRequest, keptWord: KeptWord, values: OrderValues): KeptRequest {
  const { env, network, timeoutMs, rollout, offline, detach } = request;
  const isHidden = (value: string): boolean => keptWord(value) !== value;
  const isSecret = ([name, value]: [string, string]): boolean => isSecretName(name) || isHidden(value);
  const variables = Object.entries(env);
  const secretNames = new Set(variables.filter(isSecret).map(([name]) => name));
  const isNetworkHidden = network !== undefined && isHidden(network);
  if (isNetworkHidden && env[networkVariable] === undefined) secretNames.add(networkVariable);
  const opened = values.env.filter(({ name }) => !secretNames.has(name));
  const openedNetwork = isNetworkHidden || values.network === undefined ? [] : [values.network];
  return {
    env: Object.fromEntries(variables.filter((entry) => !isSecret(entry))),
    secretNames: [...secretNames].toSorted(),
    ...(network === undefined || isNetworkHidden ? {} : { network }),
    salts: Object.fromEntries([...opened, ...openedNetwork].map(({ name, salt }) => [name, toBase64(salt)])),
    timeoutMs,
    rollout,
    offline,
    detach,
  };
}

/** What opens the values that are kept, in what was signed. Pure. */
export function keptValues({ env, network, salts }: KeptRequest): OrderValues {
  const variable = (name: string, value: string): Variable => {
    return { name, value, salt: Buffer.from(salts[name] ?? '', 'base64') };
  };
  return {
    env: Object.entries(env).map(([name, value]) => variable(name, value)),
    network: network === undefined ? undefined : variable('', network),
  };
}

/** Whether what is kept opens all of an order: no value in it is a secret. Pure. */
export function isKeptWhole(order: Uint8Array, kept: KeptRequest): boolean {
  try {
    openOrder(decodeOrder(order), keptValues(kept));
    return true;
  } catch (error) {
    if (error instanceof KomposeError) return false;
    throw error;
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
