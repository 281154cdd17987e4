import { isDeepStrictEqual } from 'node:util';
import { keyFingerprint } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import { readsClientStdin } from '../../common/client-stdin.ts';
import type { Roster } from '../../common/roster/roster.ts';
import { openOrder, type Order, type OrderValues } from '../../common/signing/order.ts';
import { taskText, type SignedTarget } from '../../common/signing/signed-text.ts';
import { isSignatureOf } from '../../common/signing/signing-key.ts';
import { isStdinKey } from '../../common/signing/stdin-marks.ts';
import { takesTerminal } from '../../common/terminal-command.ts';
import { decodeOrder } from '../../proto/order-codec.ts';
import type { RunRequest } from './run-request.ts';

/** A run that waits for the signature of the one who asked for it. */
export interface Proposal {
  readonly run: string;
  readonly targets: readonly SignedTarget[];
}

/** The answer to a proposal. */
export interface RunSignature {
  /** A SignedOrder, encoded. */
  readonly order: Uint8Array;
  readonly values: OrderValues;
  /** Of the proposal's targets, in order; an empty one where the user does not want it. */
  readonly signatures: readonly Uint8Array[];
}

/** Shows a proposal to the one who asked for the run; rejects if they do not sign it. */
export type AskSignature = (proposal: Proposal) => Promise<RunSignature>;

/** What the user of a run has signed, as it is passed on to hosts. */
export interface SignedRun {
  readonly order: Uint8Array;
  readonly values: OrderValues;
  /** By task; none of a task that the user did not sign. */
  readonly signatures: ReadonlyMap<string, Uint8Array>;
  /** Of the key that signed. */
  readonly fingerprint: string;
}

/** A request that its user has signed. */
export interface SignedRequest extends RunRequest {
  readonly signed: SignedRun;
}

/** Of Ed25519. */
const signatureBytes = 64;

/**
 * What was signed, if it says what was asked for and is signed by this user: agents go by the one, rights are checked on
 * the other. One signature shows whose key signed the order, which is all of it but the task; those of the other tasks are
 * for their hosts to verify, which end a task as denied. Throws `denied`. Pure.
 */
export function checkSigned(
  request: RunRequest,
  { run, targets }: Proposal,
  { order: bytes, values, signatures }: RunSignature,
  user: string,
  roster: Roster,
): SignedRun {
  const order = decodeOrder(bytes);
  if (roster.userOfKey(order.key)?.name !== user) throw unknownKey(user, roster);
  if (!says(order, values, run, request, targets.length) || signatures.length !== targets.length)
    throw denied('something else was signed than was asked for');
  const signed = new Map<string, Uint8Array>();
  for (const [at, target] of targets.entries()) {
    const signature = signatures[at] ?? new Uint8Array();
    if (signature.length === 0) continue;
    if (signature.length !== signatureBytes) throw denied('a signature is wrong');
    if (signed.size === 0 && !isSignatureOf(order.key, taskText(bytes, target), signature))
      throw denied('a signature is wrong');
    signed.set(target.task, signature);
  }
  if (signed.size === 0) throw denied('none of its tasks is signed');
  return { order: bytes, values, signatures: signed, fingerprint: keyFingerprint(order.key) };
}

function says(
  order: Order,
  values: OrderValues,
  run: string,
  request: RunRequest,
  targetCount: number,
): boolean {
  const { command, args, pattern, timeoutMs, dryRun, raw, terminal } = request;
  const hasStdin = readsClientStdin(request, targetCount);
  const term = hasStdin && takesTerminal(command, args) ? (terminal?.term ?? '') : '';
  const asked = { runId: run, pattern, command, args, timeoutMs, dryRun, raw, term };
  const { key: _, env, network, signedUnixMs: __, notAfterUnixMs: ___, stdinKey, ...said } = order;
  const opened = openOrder({ env, network }, values);
  return (
    isDeepStrictEqual(said, asked) &&
    (hasStdin ? isStdinKey(stdinKey) : stdinKey.length === 0) &&
    isDeepStrictEqual({ ...opened.env }, { ...request.env }) &&
    opened.network === request.network
  );
}

function unknownKey(user: string, roster: Roster): KomposeError {
  const why = roster.user(user) === undefined ? 'the roster has no key of' : 'this login has not the key of';
  return denied(
    `${why} ${user}: log in anew (an admin: kompose users remove ${user}, kompose users add ${user})`,
  );
}

function denied(message: string): KomposeError {
  return new KomposeError('denied', message);
}
