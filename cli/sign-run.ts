import { readsClientStdin } from '../common/client-stdin.ts';
import { KomposeError } from '../common/errors.ts';
import { isId } from '../common/names.ts';
import { hostFilter, matchesTarget, parsePattern } from '../common/patterns.ts';
import { createVariable, forceMs, seal, type OrderValues } from '../common/signing/order.ts';
import { taskText } from '../common/signing/signed-text.ts';
import { signText, type SigningKey } from '../common/signing/signing-key.ts';
import type { StdinKey } from '../common/signing/stdin-marks.ts';
import type { Target } from '../common/task-event.ts';
import { takesTerminal } from '../common/terminal-command.ts';
import type { RunProposal } from '../proto/gen/kompose/v1/event.ts';
import type { RunRequest, RunSignature } from '../proto/gen/kompose/v1/fleet.ts';
import { encodeOrder } from '../proto/order-codec.ts';
import { targetName } from './output/prefix.ts';

/** A run that we ask for. */
export interface AskedRun {
  /** As it is sent. */
  readonly request: RunRequest;
  /** Of a request with a stdin: by what each piece of it will be marked. */
  readonly stdinKey?: StdinKey | undefined;
  /** Of a repetition, whose request leaves it to the controller: what the user means by it, and signs. */
  readonly meant?: RunRequest;
  /** The user has seen and confirmed these targets, by `targetName`, and no others are signed. */
  readonly confirmed?: ReadonlySet<string> | undefined;
  /** Of a repetition: the only targets that there may be, by `targetName`, in place of the pattern's. */
  readonly targets?: ReadonlySet<string>;
  /** Of a repetition: for how long what is signed has its force. */
  readonly forceMs?: number;
}

/**
 * Signs what the controller would start, if it is what was asked for: the targets, each once, are the pattern's and
 * --host's (which hosts bear a label only the controller knows). Throws `denied` for anything else.
 */
export function signRun(
  asked: AskedRun,
  proposal: RunProposal,
  key: SigningKey,
  nowMs: number,
): RunSignature {
  const targets = proposal.targets.map(({ taskId, host, stack }) => ({ task: taskId, host, stack }));
  checkProposal(asked, proposal.runId, targets);
  const request = asked.meant ?? asked.request;
  const { env, network } = valuesOf(request);
  const order = encodeOrder({
    key: key.publicKey,
    runId: proposal.runId,
    ...said(request, targets.length, asked.stdinKey),
    env: env.map(seal),
    network: network === undefined ? undefined : seal(network),
    signedUnixMs: nowMs,
    notAfterUnixMs: nowMs + (asked.forceMs ?? forceOf(asked.request, targets)),
  });
  const signatures = targets.map((target) =>
    asked.confirmed?.has(targetName(target)) === false
      ? new Uint8Array()
      : signText(key, taskText(order, target)),
  );
  return { order, env: [...env], network, signatures };
}

function said(request: RunRequest, targetCount: number, key: StdinKey | undefined) {
  const { pattern, command, args, timeoutMs, dryRun, raw, terminal } = request;
  const hasStdin = readsClientStdin(request, targetCount);
  const term = hasStdin && takesTerminal(command, args) ? (terminal?.term ?? '') : '';
  const stdinKey = hasStdin && key !== undefined ? key.publicKey : new Uint8Array();
  return { pattern, command, args, timeoutMs, dryRun, raw, stdinKey, term };
}

function valuesOf({ env, network }: RunRequest): OrderValues {
  return {
    env: Object.entries(env).map(([name, value]) => createVariable(name, value)),
    network: network === undefined ? undefined : createVariable('', network),
  };
}

/** All that the user lets wait comes on top of what a run takes. */
function forceOf({ offline, rollout }: RunRequest, targets: readonly Target[]): number {
  const offlineMs = offline?.kind?.$case === 'waitMs' ? offline.kind.value : 0;
  const hosts = new Set(targets.map(({ host }) => host)).size;
  return forceMs(targets.length, offlineMs + (rollout?.batchWaitMs ?? 0) * hosts);
}

function checkProposal(asked: AskedRun, run: string, targets: readonly Target[]): void {
  const ids = new Set([run, ...targets.map(({ task }) => task)]);
  const names = new Set(targets.map(targetName));
  if (ids.size !== targets.length + 1 || names.size !== targets.length || ![...ids].every(isId))
    throw refused('something twice, or without an id');
  const isAsked = testOf(asked);
  const other = targets.find((target) => !isAsked(target));
  if (other !== undefined) throw refused(`${targetName(other)}, which was not asked for`);
}

function testOf({ request, targets }: AskedRun): (target: Target) => boolean {
  if (targets !== undefined) return (target) => targets.has(targetName(target));
  const pattern = parsePattern(request.pattern);
  const isHost = hostFilter(request.filter?.hosts ?? []);
  return (target) => isHost(target.host) && matchesTarget(pattern, target);
}

function refused(what: string): KomposeError {
  return new KomposeError('denied', `the controller wants to start ${what}: nothing was signed`);
}
