import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayHoldSecret } from '../../../../common/redaction/may-hold-secret.ts';

const names = new Set(['prod-1', 'shop', 'backend']);

const plain = [
  ['', 'api', '-d', '-it', 'ü€x'],
  [
    '--force-recreate',
    '--timeout=30',
    '--scale',
    'backend=3',
    '--scale=backend=3',
    '--pull=always',
    '--signal=SIGTERM',
  ],
  ['prod-1', 'shop', 'backend', 'always', 'sql.gz', 'SIGKILL', 'shop_20260102_030405.sql.gz'],
].flat();
for (const word of plain) {
  test(`a host need not be asked about ${JSON.stringify(word)}`, () => {
    assert.equal(mayHoldSecret(word, names), false);
  });
}

const suspect = [
  ['psql', 'ü€xy', '1234', '-ps3cret', '--Password', '--timeout=3000', 'web=3', 'backend=3000', 'backends'],
  ['PGPASSWORD=s3cret', '--password=s3cret', '../shop_20260102_030405.sql', 'select 1', 'always '],
].flat();
for (const word of suspect) {
  test(`a host is asked about ${JSON.stringify(word)}`, () => {
    assert.equal(mayHoldSecret(word, names), true);
  });
}
