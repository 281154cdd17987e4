import { userInfo } from 'node:os';
import { mostKeyChanges, signKeyChange } from '../common/audit/key-change.ts';
import { keyFingerprint } from '../common/audit/signed-head.ts';
import { keyChangeType } from '../common/audit/verify-chain.ts';
import { KomposeError } from '../common/errors.ts';
import { record } from './audit/audit.ts';
import { createAuditKey, parseAuditKey, publicAuditKey } from './audit/audit-key.ts';
import { chainEnd, loadKeyChanges, saveKeyChanges } from './audit/chain-rows.ts';
import { findAuditKey, loadState, settleAuditKey, writeNextAuditKey } from './config.ts';
import { databasePath } from './init.ts';
import { Store } from './store/store.ts';
import { requireOwner, writeBeside } from './write-beside.ts';

/** Fingerprints of an audit key, and from which record on it signs. */
export interface AuditKeyView {
  readonly fingerprint: string;
  readonly fromSeq: number;
  /** RFC 3339; absent of the first. */
  readonly since?: string;
}

/** All keys that have signed this audit, oldest first; the last one signs. */
export async function listAuditKeys(folder: string): Promise<AuditKeyView[]> {
  const { auditKey } = await loadState(folder);
  const store = await Store.open(databasePath(folder));
  try {
    const changes = await loadKeyChanges(store.db);
    const first = changes[0]?.from ?? publicAuditKey(parseAuditKey(auditKey));
    return [
      { fingerprint: keyFingerprint(first), fromSeq: 1 },
      ...changes.map(({ to, seq, time }) => ({
        fingerprint: keyFingerprint(to),
        fromSeq: seq + 1,
        since: time,
      })),
    ];
  } finally {
    await store.close();
  }
}

/**
 * Has another key sign the audit from now on; gives its fingerprint. A controller that serves takes it up with its next
 * head: from the moment that the change is in the chain, a head of the old key counts only for what was before. The old
 * key is removed. Throws `denied` for a foreigner, `conflict` after a hundred changes.
 */
export async function rotateAuditKey(folder: string): Promise<string> {
  await requireOwner(folder);
  const { auditKey } = await loadState(folder);
  const pem = createAuditKey();
  const next = parseAuditKey(pem);
  const to = publicAuditKey(next);
  // Before the change is there: nobody may be sought whom nobody has.
  await writeNextAuditKey(folder, to, pem);
  await writeBeside(folder, async (transaction) => {
    const changes = await loadKeyChanges(transaction);
    if (changes.length >= mostKeyChanges)
      throw new KomposeError('conflict', 'the audit key was changed too often');
    const current = changes.at(-1)?.to;
    const before = current === undefined ? parseAuditKey(auditKey) : await findAuditKey(folder, current);
    const nowMs = Date.now();
    const time = new Date(nowMs).toISOString();
    const keyChange = signKeyChange(await chainEnd(transaction), time, before, next);
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    const [from, by] = [keyFingerprint(keyChange.from), userInfo().username];
    const detail = { from, to: keyFingerprint(to), by };
    await record(transaction, nowMs, { type: keyChangeType, actor, detail, keyChange });
    await saveKeyChanges(transaction, [...changes, keyChange]);
  });
  await settleAuditKey(folder, to);
  return keyFingerprint(to);
}
