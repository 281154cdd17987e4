import { KomposeError } from '../common/errors.ts';
import type { OrderValues } from '../common/signing/order.ts';
import { SealedTask } from './gen/kompose/v1/agent_link.ts';

/** What a task is asked with, as its user has signed it. */
export interface SignedTaskParts {
  /** A SignedOrder, encoded. */
  readonly order: Uint8Array;
  readonly signature: Uint8Array;
  readonly values: OrderValues;
}

/** What is sealed to an agent; see SealedTask in agent_link.proto. */
export function encodeSealedTask({ order, signature, values }: SignedTaskParts): Uint8Array {
  return SealedTask.encode({ order, signature, env: [...values.env], network: values.network }).finish();
}

/** Throws `denied`. */
export function decodeSealedTask(bytes: Uint8Array): SealedTask {
  try {
    return SealedTask.decode(bytes);
  } catch (error) {
    throw new KomposeError('denied', 'what was sealed to this host cannot be read', { cause: error });
  }
}
