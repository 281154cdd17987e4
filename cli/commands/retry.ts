import { KomposeError } from '../../common/errors.ts';
import type { PlanRetryResponse, RunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
import { confirmTargets } from '../confirm.ts';
import { follow } from '../follow.ts';
import { interruptedExitCode } from '../interrupts.ts';
import type { VerbOptions } from '../noun.ts';
import { targetName } from '../output/prefix.ts';
import { detach } from './run.ts';

/** `kompose runs retry`: asks for what the controller has not kept, then starts and shows the repetition. */
export async function retry(
  call: Call,
  run: string,
  { env = {}, detach: wantsDetach, yes }: VerbOptions,
): Promise<number> {
  const plan = await planRetry(call, run);
  const { runId, targets, command, args, dryRun: isDryRun } = plan;
  if (targets.length === 0) {
    say(call, `run ${runId} succeeded everywhere: nothing to do`);
    return 0;
  }
  const isDetached = wantsDetach === true;
  await confirmTargets(call, { command, args, isDryRun, isConfirmed: yes === true }, targets.map(targetName));
  const request = toWire(plan, { ...env, ...(await askForMissing(call, plan, env)) }, isDetached);
  return isDetached ? detach(call, request) : follow(call, request, 'cancels');
}

async function planRetry(call: Call, runId: string): Promise<PlanRetryResponse> {
  using fleet = await call.connect();
  return await fleet.ask<PlanRetryResponse>((answer) => fleet.client.planRetry({ runId }, answer));
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
  return {
    pattern: '',
    command: '',
    args: [],
    filter: undefined,
    env,
    network: undefined,
    dryRun: false,
    timeoutMs: 0,
    detach: isDetached,
    raw: false,
    rollout: undefined,
    offline: undefined,
    hasStdin: false,
    terminal: undefined,
    retryOf: runId,
  };
}
