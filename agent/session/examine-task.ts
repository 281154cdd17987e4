import { checkTerminal } from '../../common/client-terminal.ts';
import { formatDuration } from '../../common/durations.ts';
import { KomposeError } from '../../common/errors.ts';
import { checkStackName, isId } from '../../common/names.ts';
import type { Roster, RosterUser } from '../../common/roster/roster.ts';
import { builtInRoles } from '../../common/rules/built-in-roles.ts';
import { clockToleranceMs, longestForceMs, openOrder, type Order } from '../../common/signing/order.ts';
import { taskText } from '../../common/signing/signed-text.ts';
import { isSignatureOf } from '../../common/signing/signing-key.ts';
import type { StartTask } from '../../proto/gen/kompose/v1/agent_link.ts';
import { decodeOrder } from '../../proto/order-codec.ts';
import type { TaskSpec } from '../tasks/task-spec.ts';

/** This host, as far as it decides what is executed here. */
export interface Examiner {
  readonly name: string;
  readonly roster: Roster;
  readonly nowMs: number;
}

/** A task that a user has signed for this host. */
export interface SignedTask {
  readonly spec: TaskSpec;
  /** From then on, and some tolerance, the signature is worth nothing. */
  readonly notAfterMs: number;
}

/**
 * What a controller asks for, if a user has signed just that for this host: all that decides what is executed is read from
 * the signed bytes. Whether it was done before is for the journal to say. Throws `denied`. Pure.
 */
export function examineTask(message: StartTask, host: Examiner): SignedTask {
  const { taskId: task, stack, order: bytes, signature } = message;
  const order = decode(bytes);
  const user = host.roster.userOfKey(order.key);
  if (user === undefined) throw denied('whoever signed it is not in the roster that this host knows');
  const target = { task: checkId(task), host: host.name, stack: checkName(stack) };
  if (!isSignatureOf(order.key, taskText(bytes, target), signature))
    throw denied('it is not what its user signed for this host, stack and task');
  checkTime(order, host.nowMs);
  const spec = { task, stack, user: user.name, ...what(order, message), output: message.output };
  checkRole(user, spec, host.name);
  return { notAfterMs: order.notAfterUnixMs, spec };
}

function what(
  order: Order,
  { env, network, terminalSize }: StartTask,
): Omit<TaskSpec, 'task' | 'stack' | 'user'> {
  const { runId: run, command, args, timeoutMs, dryRun, raw, stdinKey, term } = order;
  const values = openOrder(order, { env, network });
  const named = values.network === undefined ? {} : { network: values.network };
  const terminal = term === '' ? undefined : checkTerminal({ rows: 24, columns: 80, ...terminalSize, term });
  const stdin = stdinKey.length === 0 ? { hasStdin: false } : { hasStdin: true, stdinKey };
  return { run, command, args, env: values.env, ...named, timeoutMs, dryRun, raw, ...stdin, terminal };
}

function decode(bytes: Uint8Array): Order {
  try {
    return decodeOrder(bytes);
  } catch (error) {
    throw new KomposeError('denied', KomposeError.from(error).message, { cause: error });
  }
}

/** It becomes the name of a folder. */
function checkId(task: string): string {
  if (isId(task)) return task;
  throw denied('its id is not one of a task');
}

function checkName(stack: string): string {
  try {
    return checkStackName(stack);
  } catch (error) {
    throw new KomposeError('denied', KomposeError.from(error).message, { cause: error });
  }
}

/** The user's clock signed, this host's clock looks. */
function checkTime({ notAfterUnixMs }: Order, nowMs: number): void {
  const leftMs = notAfterUnixMs - nowMs;
  const clocks = "if that is wrong, look at this host's clock and the user's";
  if (leftMs < -clockToleranceMs)
    throw denied(`what was signed lost its force ${formatDuration(-leftMs)} ago; ${clocks}`);
  if (leftMs > longestForceMs + clockToleranceMs)
    throw denied(`what was signed keeps its force for too long; ${clocks}`);
}

/** Of a role of the fleet's own the roster has the name alone: what it allows only the controller knows. */
function checkRole({ name, role }: RosterUser, { stack, command, args, env }: TaskSpec, host: string): void {
  const rules = Object.hasOwn(builtInRoles, role) ? builtInRoles[role] : undefined;
  const request = { command, args, envNames: Object.keys(env) };
  const decision = rules?.decide(request, { host, stack, labels: {} });
  if (decision === undefined || decision.isAllowed) return;
  throw denied(
    `the role ${role}, which ${name} has in the roster that this host knows, does not allow ${decision.reason}`,
  );
}

function denied(message: string): KomposeError {
  return new KomposeError('denied', message);
}
