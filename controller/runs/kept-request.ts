import { isSecretName } from '../../common/redaction/secret-name.ts';
import type { OfflinePolicy, RolloutOptions } from '../../common/rollout.ts';
import type { KeptWord } from './kept-words.ts';
import type { RunRequest } from './run-request.ts';

/** What --network sets. */
const networkVariable = 'NETWORK_NAME';

/** What of a request is kept in the store, as JSON, so that `runs retry` can repeat it: no value of a secret. */
export interface KeptRequest {
  /** Variables of -e whose values may be kept. */
  readonly env: Readonly<Record<string, string>>;
  /** Those whose values may not. */
  readonly secretNames: readonly string[];
  /** Of --network, if it may be kept. */
  readonly network?: string;
  readonly timeoutMs: number;
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
}

/**
 * A variable whose value may not be kept as it is, is as secret as one whose name says so; a network that may not is
 * asked for again as the variable that it sets. Pure.
 */
export function keepRequest(request: RunRequest, keptWord: KeptWord): KeptRequest {
  const { env, network, timeoutMs, rollout, offline } = request;
  const isHidden = (value: string): boolean => keptWord(value) !== value;
  const isSecret = ([name, value]: [string, string]): boolean => isSecretName(name) || isHidden(value);
  const variables = Object.entries(env);
  const secretNames = new Set(variables.filter(isSecret).map(([name]) => name));
  const isNetworkHidden = network !== undefined && isHidden(network);
  if (isNetworkHidden && env[networkVariable] === undefined) secretNames.add(networkVariable);
  return {
    env: Object.fromEntries(variables.filter((entry) => !isSecret(entry))),
    secretNames: [...secretNames].toSorted(),
    ...(network === undefined || isNetworkHidden ? {} : { network }),
    timeoutMs,
    rollout,
    offline,
  };
}
