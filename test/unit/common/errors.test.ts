import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTraits, isErrorCode, isSystemError, KomposeError } from '../../../common/errors.ts';

test('takes anything that is no KomposeError for a bug and keeps it as the cause', () => {
  const bug = new TypeError('x is undefined');
  assert.equal(KomposeError.from(bug).code, 'internal');
  assert.equal(KomposeError.from(bug).cause, bug);
  assert.equal(KomposeError.from('word').message, 'word');
  const expected = new KomposeError('usage', 'bad');
  assert.equal(KomposeError.from(expected), expected);
});

test('takes a KomposeError of another bundle for what it is', async () => {
  const url = new URL('../../../common/errors.ts?another', import.meta.url).href;
  const another = (await import(url)) as typeof import('../../../common/errors.ts');
  const expected = new another.KomposeError('usage', 'bad');
  assert.notEqual(another.KomposeError, KomposeError);
  assert.equal(KomposeError.from(expected), expected);
});

test('gives each code the exit code of the contract', () => {
  const exitCodes = Object.entries(errorTraits).map(([code, { exitCode }]) => [code, exitCode]);
  assert.deepEqual(Object.fromEntries(exitCodes), {
    usage: 2,
    'not-found': 3,
    unreachable: 4,
    denied: 5,
    unauthenticated: 5,
    'controller-unreachable': 6,
    conflict: 1,
    protocol: 1,
    unsupported: 1,
    unavailable: 1,
    'too-many-requests': 1,
    failed: 1,
    internal: 1,
  });
});

test('knows its codes, and no property of every object', () => {
  assert.ok(isErrorCode('denied'));
  for (const word of ['', 'constructor', 'toString', 'Denied']) assert.ok(!isErrorCode(word), word);
});

test('tells system errors apart by their code', () => {
  const error = Object.assign(new Error('no'), { code: 'ENOENT' });
  assert.ok(isSystemError(error, 'ENOENT'));
  assert.ok(!isSystemError(error, 'EACCES'));
  assert.ok(!isSystemError({ code: 'ENOENT' }, 'ENOENT'));
});
