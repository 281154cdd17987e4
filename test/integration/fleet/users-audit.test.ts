import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { StubFleet } from './stub-fleet.ts';

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start();
});

after(() => fleet.stop());

test('makes a user who logs in with the token that users add prints', async () => {
  const token = await fleet.must('users', 'add', 'vera', '--role', 'viewer', '--ttl', '5m');
  assert.match(token, /^kmp1\.\S+\n$/);
  assert.equal((await fleet.run('vera', ['login', token.trim()])).code, 0);
  const me = await fleet.run('vera', ['whoami', '-o', 'json']);
  assert.partialDeepStrictEqual(JSON.parse(me.stdout), { name: 'vera', role: 'viewer' });
  assert.match(await fleet.must('users'), /\nvera +viewer /);
  const again = await fleet.kompose('users', 'add', 'vera', '--role', 'admin');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /there is a user vera already/);
  assert.equal((await fleet.kompose('users', 'add', 'a/b', '--role', 'admin')).code, 2);
});

test('shows one record, to people and to programs', async () => {
  const records = await fleet.objects('audit', 'ls');
  const created = records.find(({ type }) => type === 'token.created');
  const seq = String(created?.['seq']);
  assert.deepEqual(await fleet.objects('audit', 'show', seq), [created]);
  const text = await fleet.must('audit', 'show', seq);
  assert.match(text, new RegExp(`^seq +${seq}\\ntype +token\\.created\\n`));
  assert.match(text, /\nactor +\{"name":/);
  const missing = await fleet.kompose('audit', 'show', '9999');
  assert.equal(missing.code, 3);
  assert.match(missing.stderr, /there is no record 9999: kompose audit ls/);
  assert.equal((await fleet.kompose('audit', 'show', 'x')).code, 2);
});

test('shows records to admins only', async () => {
  const token = await fleet.must('users', 'add', 'olga', '--role', 'operator');
  await fleet.run('olga', ['login', token.trim()]);
  assert.equal((await fleet.run('olga', ['audit', 'show', '1'])).code, 5);
});

/** What admins and newcomers have signed, by its type, oldest first. */
async function rosterChanges(): Promise<string[]> {
  const records = await fleet.objects('audit', 'ls', '--type', 'roster.changed');
  return records.map(({ detail }) => {
    const { body } = detail as { readonly body: string };
    return (JSON.parse(body) as { readonly type: string }).type;
  });
}

test('takes all changes of the roster that come at the same moment, one after the other', async () => {
  const known = (await rosterChanges()).length;
  const names = ['una', 'ulf', 'uwe'];
  const tokens = await Promise.all(names.map((name) => fleet.must('users', 'add', name, '--role', 'viewer')));
  const logins = tokens.map((token, at) => fleet.run(names[at] ?? '', ['login', token.trim()]));
  assert.deepEqual(
    (await Promise.all(logins)).map(({ code }) => code),
    [0, 0, 0],
  );
  const invited = ['invite', 'invite', 'invite', 'join', 'join', 'join'];
  assert.deepEqual((await rosterChanges()).slice(known), invited);
});

test('withdraws invites that nobody has used in time with the next change', async () => {
  const known = (await rosterChanges()).length;
  await fleet.must('users', 'add', 'late', '--role', 'viewer', '--ttl', '1ms');
  await fleet.must('users', 'remove', 'una');
  assert.deepEqual((await rosterChanges()).slice(known), ['invite', 'withdraw', 'remove']);
});
