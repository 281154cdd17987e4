import { KomposeError } from '../common/errors.ts';
import type { Roster } from '../common/roster/roster.ts';
import { opens, type Order, type SealedVariable, type Variable } from '../common/signing/order.ts';
import { taskText } from '../common/signing/signed-text.ts';
import { isSignatureOf } from '../common/signing/signing-key.ts';
import type { PlanRetryResponse } from '../proto/gen/kompose/v1/fleet.ts';
import { decodeOrder } from '../proto/order-codec.ts';
import { targetName } from './output/prefix.ts';

/** What a run was, by its user's own signature. */
export interface SignedRepetition {
  readonly order: Order;
  /** The values of -e and --network that are kept. */
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  /** Those that its user signed, by `targetName`. */
  readonly targets: ReadonlySet<string>;
}

/** What --network sets. */
const networkVariable = 'NETWORK_NAME';

/**
 * What a controller says that a run was, if a user of the roster signed it: a repetition is signed anew, and must not be
 * a way to have something else signed. Throws `denied`. Pure.
 */
export function signedRepetition(plan: PlanRetryResponse, roster: Roster): SignedRepetition {
  const order = decodeOrder(plan.order);
  if (roster.userOfKey(order.key) === undefined)
    throw denied(plan, 'whoever signed it is not in the roster (any more): type the command again');
  if (order.runId !== plan.runId) throw denied(plan, 'another run was signed');
  checkVariables(plan, order);
  return {
    order,
    env: Object.fromEntries(plan.env.map(({ name, value }) => [name, value])),
    network: plan.network?.value,
    targets: signedTargets(plan, order),
  };
}

/** Each variable that was signed is there as it was, or asked for again, and no other. */
function checkVariables(plan: PlanRetryResponse, order: Order): void {
  const isKept = (sealed: SealedVariable): boolean => plan.env.some((variable) => opens(variable, sealed));
  const signed = order.env.map(({ name }) => name);
  const isNetworkKept = isSame(order.network, plan.network);
  const mayBeAsked = isNetworkKept ? signed : [...signed, networkVariable];
  const isAll =
    order.env.every((sealed) => isKept(sealed) || plan.secretNames.includes(sealed.name)) &&
    plan.env.every((variable) => order.env.some((sealed) => opens(variable, sealed))) &&
    plan.secretNames.every((name) => mayBeAsked.includes(name));
  const isNetworkThere = isNetworkKept || (plan.network === undefined && hasNetworkAgain(plan, signed));
  if (!isAll || !isNetworkThere) throw denied(plan, 'its variables are not those that were signed');
}

function isSame(sealed: SealedVariable | undefined, variable: Variable | undefined): boolean {
  if (sealed === undefined || variable === undefined) return sealed === variable;
  return opens(variable, sealed);
}

/** A network that may not be kept is asked for as its variable, unless -e has set that anyway. */
function hasNetworkAgain({ secretNames }: PlanRetryResponse, signed: readonly string[]): boolean {
  return [...secretNames, ...signed].includes(networkVariable);
}

function signedTargets(plan: PlanRetryResponse, order: Order): Set<string> {
  const names = new Set<string>();
  for (const { taskId: task, host, stack, signature } of plan.targets) {
    if (signature.length === 0) continue;
    if (!isSignatureOf(order.key, taskText(plan.order, { task, host, stack }), signature))
      throw denied(plan, `it was not signed for ${targetName({ host, stack })}`);
    names.add(targetName({ host, stack }));
  }
  return names;
}

function denied({ runId }: PlanRetryResponse, why: string): KomposeError {
  return new KomposeError('denied', `run ${runId} is not repeated: ${why}`);
}
