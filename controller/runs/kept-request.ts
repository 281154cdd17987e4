import type { Masker } from '../../common/redaction/masker.ts';
import { isSecretName } from '../../common/redaction/secret-name.ts';
import type { OfflinePolicy, RolloutOptions } from '../../common/rollout.ts';
import type { RunRequest } from './run-request.ts';

/** What of a request is kept in the store, as JSON, so that `runs retry` can repeat it: no value of a secret. */
export interface KeptRequest {
  /** Variables of -e whose values may be kept. */
  readonly env: Readonly<Record<string, string>>;
  /** Those whose values may not. */
  readonly secretNames: readonly string[];
  /** Masked. */
  readonly network?: string;
  readonly timeoutMs: number;
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
}

/**
 * `masker` knows the request's secrets: a variable that holds one of them is as secret as one whose name says so.
 * Pure.
 */
export function keepRequest(request: RunRequest, masker: Masker): KeptRequest {
  const { network, timeoutMs, rollout, offline } = request;
  const isSecret = ([name, value]: [string, string]): boolean =>
    isSecretName(name) || masker.maskText(value) !== value;
  const entries = Object.entries(request.env);
  return {
    env: Object.fromEntries(entries.filter((entry) => !isSecret(entry))),
    secretNames: entries
      .filter(isSecret)
      .map(([name]) => name)
      .toSorted(),
    ...(network === undefined ? {} : { network: masker.maskText(network) }),
    timeoutMs,
    rollout,
    offline,
  };
}
