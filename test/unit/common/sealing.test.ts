import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSealingSeed, isSealingKey, sealingKey, sealTo } from '../../../common/sealing.ts';
import { KomposeError } from '../../../common/errors.ts';

const bytes = Buffer.from('DB_PASSWORD=hunter2');
const isDenied = (error: unknown): boolean => error instanceof KomposeError && error.code === 'denied';

describe('sealing', () => {
  test('opens with the key of the same seed, for the same context', async () => {
    const seed = createSealingSeed();
    const sealed = await sealTo((await sealingKey(seed)).publicKey, bytes, 'T1');
    assert.ok(!Buffer.from(sealed).includes('hunter2'));
    assert.deepEqual(Buffer.from(await (await sealingKey(seed)).open(sealed, 'T1')), bytes);
  });

  test('refuses another key, another context, and whatever was changed or cut', async () => {
    const key = await sealingKey(createSealingSeed());
    const sealed = await sealTo(key.publicKey, bytes, 'T1');
    const other = await sealingKey(createSealingSeed());
    await assert.rejects(other.open(sealed, 'T1'), isDenied);
    await assert.rejects(key.open(sealed, 'T2'), isDenied);
    for (const length of [0, 31, 40, sealed.length - 1])
      await assert.rejects(key.open(sealed.subarray(0, length), 'T1'), isDenied, String(length));
    for (const at of [0, 32, sealed.length - 1]) {
      const changed = Uint8Array.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await assert.rejects(key.open(changed, 'T1'), isDenied, String(at));
    }
  });

  test('does not take a short key or seed for one', async () => {
    assert.ok(!isSealingKey(new Uint8Array(31)));
    await assert.rejects(sealingKey(new Uint8Array(31)), KomposeError);
  });
});
