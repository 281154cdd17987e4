import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { KomposeError } from '../errors.ts';

/** What a user signs of a run: see SignedOrder in signing.proto, whose fields these are. */
export interface Order {
  readonly key: string;
  readonly runId: string;
  readonly pattern: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly SealedVariable[];
  readonly network: SealedVariable | undefined;
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  readonly raw: boolean;
  readonly stdinKey: Uint8Array;
  readonly term: string;
  readonly signedUnixMs: number;
  readonly notAfterUnixMs: number;
}

export interface SealedVariable {
  readonly name: string;
  readonly digest: Uint8Array;
}

/** What opens a sealed variable. */
export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly salt: Uint8Array;
}

/** What opens all of an order; `network` is there if the order has one. */
export interface OrderValues {
  readonly env: readonly Variable[];
  readonly network: Variable | undefined;
}

const saltBytes = 16;

export function createVariable(name: string, value: string): Variable {
  return { name, value, salt: randomBytes(saltBytes) };
}

export function seal({ name, value, salt }: Variable): SealedVariable {
  return { name, digest: createHash('sha256').update(salt).update(value).digest() };
}

/** Whether this is what was sealed. */
export function opens(variable: Variable, sealed: SealedVariable): boolean {
  const { digest } = seal(variable);
  return (
    variable.name === sealed.name &&
    variable.salt.length === saltBytes &&
    sealed.digest.length === digest.length &&
    timingSafeEqual(digest, sealed.digest)
  );
}

/** The values of an order. Throws `denied` where one is missing, too many, or another than was signed. */
export function openOrder(
  order: Pick<Order, 'env' | 'network'>,
  values: OrderValues,
): { readonly env: Record<string, string>; readonly network: string | undefined } {
  const sealed = [...order.env, ...(order.network === undefined ? [] : [order.network])];
  const given = [...values.env, ...(values.network === undefined ? [] : [values.network])];
  const names = new Set(order.env.map(({ name }) => name));
  const isWhole =
    sealed.length === given.length &&
    names.size === order.env.length &&
    (order.network === undefined) === (values.network === undefined) &&
    sealed.every((each, at) => {
      const variable = given[at];
      return variable !== undefined && opens(variable, each);
    });
  if (!isWhole) throw new KomposeError('denied', 'its variables are not those that were signed');
  return {
    env: Object.fromEntries(values.env.map(({ name, value }) => [name, value])),
    network: values.network?.value,
  };
}

/** How far apart the clocks of a user and a host may be. */
export const clockToleranceMs = 5 * 60_000;
/** No order has its force for longer, whatever waits are asked for. */
export const longestForceMs = 366 * 24 * 60 * 60_000;

/** A host whose clock is further before a user's finds what they sign for one target without force. */
export const mostClockAheadMs = 15 * 60_000;

const promptMs = mostClockAheadMs - clockToleranceMs;
const queuedMs = 24 * 60 * 60_000;

/**
 * How long an order has its force: a task that waits for nothing begins within seconds, several may wait for one another
 * for hours, and what the user lets wait comes on top.
 */
export function forceMs(targets: number, waitsMs: number): number {
  return Math.min(longestForceMs, (targets > 1 ? queuedMs : promptMs) + waitsMs);
}
