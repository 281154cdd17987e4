import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { signKeyChange } from '../../../common/audit/key-change.ts';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { linesOf, verifyChain, type Verdict } from '../../../common/audit/verify-chain.ts';
import { createAuditKey, parseAuditKey, publicAuditKey } from '../../../controller/audit/audit-key.ts';
import { AuditNotary } from '../../../controller/audit/audit-notary.ts';
import { record } from '../../../controller/audit/audit.ts';
import { chainEnd, loadKeyChanges, saveKeyChanges } from '../../../controller/audit/chain-rows.ts';
import { exportAudit } from '../../../controller/audit/export-audit.ts';
import { pruneAudit } from '../../../controller/audit/prune-audit.ts';
import { Store } from '../../../controller/store/store.ts';

const actor = { name: 'ada', role: 'admin', certificate: '' };
const allTime = { sinceMs: 0, untilMs: 0 };

/** An audit of many records whose key is changed as another process does it. */
class ChangingAudit {
  readonly store: Store;
  readonly notary: AuditNotary;
  readonly #keys: KeyObject[];

  private constructor(store: Store, notary: AuditNotary, keys: KeyObject[]) {
    this.store = store;
    this.notary = notary;
    this.#keys = keys;
  }

  static async begin(t: TestContext): Promise<ChangingAudit> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-audit-key-'));
    const store = await Store.open(join(folder, 'kompose.db'));
    await store.write(async (transaction) => {
      for (let n = 0; n < 1000; n++) await record(transaction, 0, { type: 'user.login', actor });
    });
    const [key, ...others] = [0, 1].map(() => parseAuditKey(createAuditKey()));
    assert.ok(key !== undefined);
    const keys = [key, ...others];
    const findKey = async (publicKey: string): Promise<KeyObject> => {
      const found = keys.find((each) => publicAuditKey(each) === publicKey);
      return found ?? Promise.reject(new Error('nobody has it'));
    };
    const log = pino({ level: 'silent' });
    const limits = { windowMs: 60_000, mostRecords: 10 };
    const notary = await AuditNotary.open({ store, key, findKey, clock: Date.now, log, ...limits });
    t.after(async () => {
      await notary.close();
      await store.close();
      await rm(folder, { recursive: true });
    });
    return new ChangingAudit(store, notary, keys);
  }

  async changeKey(): Promise<void> {
    const [before, next] = this.#keys;
    assert.ok(before !== undefined && next !== undefined);
    await this.store.write(async (transaction) => {
      const time = new Date(0).toISOString();
      const keyChange = signKeyChange(await chainEnd(transaction), time, before, next);
      await record(transaction, 0, { type: 'audit.key-changed', actor, keyChange });
      await saveKeyChanges(transaction, [...(await loadKeyChanges(transaction)), keyChange]);
    });
  }

  /** What those say who trust each of the keys. */
  verdicts(text: string): Promise<Verdict[]> {
    return Promise.all(
      this.#keys.map((key) => {
        const fingerprint = keyFingerprint(publicAuditKey(key));
        const lines = linesOf(
          (async function* () {
            yield Buffer.from(text);
          })(),
        );
        return verifyChain(lines, { fingerprint, seen: undefined, isLive: true });
      }),
    );
  }
}

async function joined(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

describe('while the key that signs the audit is changed', () => {
  test('an export that has begun is one of the key before', async (t) => {
    const audit = await ChangingAudit.begin(t);
    const pieces = exportAudit(audit.store, audit.notary, allTime);
    const { value = '' } = await pieces.next();
    await audit.changeKey();
    await audit.notary.head();
    const [before] = await audit.verdicts(value + (await joined(pieces)));
    assert.equal(before?.bad, undefined);
    assert.equal(before?.count, 1000);
  });

  test('what is pruned is signed for by the key that the chain has brought by then', async (t) => {
    const audit = await ChangingAudit.begin(t);
    await audit.changeKey();
    const caller = { actor, clientAddress: '' };
    const { upTo } = await pruneAudit(audit.store, audit.notary, 1, caller, 1);
    assert.equal(upTo, 1001);
    const text = await joined(exportAudit(audit.store, audit.notary, allTime));
    for (const { bad } of await audit.verdicts(text)) assert.equal(bad, undefined);
  });
});
