import { KomposeError } from '../common/errors.ts';
import type { Order } from '../common/signing/order.ts';
import { SignedOrder } from './gen/kompose/v1/signing.ts';

/** The bytes that are signed, and passed on as they are. */
export function encodeOrder(order: Order): Uint8Array {
  return SignedOrder.encode({ ...order, args: [...order.args], env: [...order.env] }).finish();
}

/** Throws `protocol`. */
export function decodeOrder(bytes: Uint8Array): Order {
  try {
    return SignedOrder.decode(bytes);
  } catch (error) {
    throw new KomposeError('protocol', 'what was signed cannot be read', { cause: error });
  }
}
