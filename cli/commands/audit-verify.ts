import { createReadStream } from 'node:fs';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { linesOf, verifyChain, type Trust, type Verdict } from '../../common/audit/verify-chain.ts';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { quoted } from '../../common/quoted.ts';
import { askAuditHead } from '../audit-head.ts';
import { AuditWitness } from '../audit-witness.ts';
import type { Call } from '../call.ts';
import { loadContext } from '../contexts.ts';
import { jsonLine, printable } from '../../common/printable.ts';
import { exportChunks } from './audit-export.ts';

/** The live store, all of it as the controller gives it out. */
export async function verifyStore(call: Call, key: string | undefined): Promise<number> {
  using fleet = await call.connect();
  const { auditWitness } = fleet;
  await askAuditHead(fleet);
  const trust = { ...trustOf(auditWitness, key), isLive: true };
  return show(call, await verifyChain(linesOf(exportChunks(fleet, {})), trust));
}

/** An export, without any controller. Throws `not-found` for a file that is not there. */
export async function verifyFile(call: Call, file: string, key: string | undefined): Promise<number> {
  const { settings, globals } = call;
  const context = await loadContext(settings.userFolder, globals.context).catch((error: unknown) => {
    if (key !== undefined) return undefined;
    const message = `${KomposeError.from(error).message}; or give the controller's key: --key FINGERPRINT`;
    throw new KomposeError('unauthenticated', message, { cause: error });
  });
  const witness = context === undefined ? undefined : new AuditWitness(context.folder);
  const trust = { ...trustOf(witness, key), isLive: false };
  return show(call, await verifyChain(linesOf(file === '-' ? call.terminal.stdin : readFile(file)), trust));
}

/** A head that was seen counts only beside the key that signed it. */
function trustOf(witness: AuditWitness | undefined, key: string | undefined): Omit<Trust, 'isLive'> {
  const known = witness?.fingerprint;
  const fingerprint = key ?? known;
  if (fingerprint === undefined) {
    const message =
      "this login does not know the controller's audit key yet: run kompose whoami, or give --key FINGERPRINT";
    throw new KomposeError('unauthenticated', message);
  }
  const seen: SignedMark | undefined = fingerprint === known ? witness?.seen : undefined;
  return { fingerprint, seen };
}

async function* readFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file) as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (isSystemError(error, 'ENOENT'))
      throw new KomposeError('not-found', `there is no file ${quoted(file)}`, { cause: error });
    if (isSystemError(error, 'EACCES') || isSystemError(error, 'EISDIR'))
      throw new KomposeError('failed', `${quoted(file)} cannot be read: check the path and its mode`, {
        cause: error,
      });
    throw error;
  }
}

function show({ terminal, globals }: Call, verdict: Verdict): number {
  const { bad, first, last, count, signedAt } = verdict;
  const json = { whole: bad === undefined, ...bad, first, last, count, signedAt };
  terminal.stdout(globals.output === 'json' ? `${jsonLine(json)}\n` : `${printable(verdictText(verdict))}\n`);
  return bad === undefined ? 0 : 1;
}

function verdictText({ bad, first, last, count, signedAt }: Verdict): string {
  if (bad !== undefined) return `NOT WHOLE: seq ${bad.seq}: ${bad.problem}`;
  return `whole: ${count} records, ${first} to ${last}, signed ${signedAt}`;
}
