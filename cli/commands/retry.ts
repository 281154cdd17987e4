import { KomposeError } from '../../common/errors.ts';
import type { PlanRetryResponse, RunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
import { confirmTargets } from '../confirm.ts';
import { follow } from '../follow.ts';
import { interruptedExitCode } from '../interrupts.ts';
import type { VerbOptions } from '../noun.ts';
import { targetName } from '../output/prefix.ts';
import { signedRepetition, type SignedRepetition } from '../repeat-run.ts';
import { detach } from './run.ts';

/** `kompose runs retry`: asks for what the controller has not kept, then starts and shows the repetition. */
export async function retry(
  call: Call,
  run: string,
  { env = {}, detach: wantsDetach, yes }: VerbOptions,
): Promise<number> {
  const planned = await planRetry(call, run);
  if (planned === undefined) return 0;
  const { plan, signed } = planned;
  const { command, args, dryRun: isDryRun, signedUnixMs, notAfterUnixMs } = signed.order;
  const isDetached = wantsDetach === true;
  const words = { command, args, isDryRun, isConfirmed: yes === true };
  await confirmTargets(call, words, plan.targets.map(targetName));
  const given = { ...env, ...(await askForMissing(call, plan, env)) };
  const asked = {
    request: toWire(plan, given, isDetached),
    meant: meantBy(plan, signed, given),
    targets: new Set(plan.targets.map(targetName)),
    confirmed: signed.targets,
    forceMs: notAfterUnixMs - signedUnixMs,
  };
  return isDetached ? detach(call, asked) : follow(call, asked, 'cancels');
}

/** Undefined, and said, where there is nothing left to do. */
async function planRetry(
  call: Call,
  typed: string,
): Promise<{ plan: PlanRetryResponse; signed: SignedRepetition } | undefined> {
  using fleet = await call.connect();
  const plan = await fleet.ask<PlanRetryResponse>((answer) =>
    fleet.client.planRetry({ runId: typed }, answer),
  );
  if (!plan.runId.startsWith(typed))
    throw new KomposeError('denied', `the controller answers with another run`);
  if (plan.targets.length > 0)
    return { plan, signed: signedRepetition(plan, await fleet.roster.sync(fleet)) };
  say(call, `run ${plan.runId} succeeded everywhere: nothing to do`);
  return undefined;
}

/** What cannot be asked for here is missed by the controller, which names it. */
async function askForMissing(
  { terminal }: Call,
  { secretNames }: PlanRetryResponse,
  env: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const given: Record<string, string> = {};
  if (!terminal.canAsk) return given;
  for (const name of secretNames) {
    if (Object.hasOwn(env, name)) continue;
    given[name] = await terminal.askSecret(`${name}: `).catch(leave);
  }
  return given;
}

function leave(cause: unknown): never {
  if (cause instanceof Error && cause.name === 'AbortError') process.exit(interruptedExitCode);
  throw KomposeError.from(cause);
}

function toWire({ runId }: PlanRetryResponse, env: Record<string, string>, isDetached: boolean): RunRequest {
  return { ...nothing, env, detach: isDetached, retryOf: runId };
}

/** All of it is what was signed then: the controller's own word for it counts for nothing. */
function meantBy(
  { targets }: PlanRetryResponse,
  { order, env, network }: SignedRepetition,
  given: Readonly<Record<string, string>>,
): RunRequest {
  const { command, args, dryRun, timeoutMs } = order;
  const pattern = targets.map(({ host, stack }) => `${host}:${stack}`).join(',');
  return {
    ...nothing,
    pattern,
    command,
    args: [...args],
    env: { ...env, ...given },
    network,
    dryRun,
    timeoutMs,
  };
}

const nothing = {
  pattern: '',
  command: '',
  args: [],
  filter: undefined,
  env: {},
  network: undefined,
  dryRun: false,
  timeoutMs: 0,
  detach: false,
  raw: false,
  rollout: undefined,
  offline: undefined,
  hasStdin: false,
  terminal: undefined,
};
