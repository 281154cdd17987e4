import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signRun } from '../../../cli/sign-run.ts';
import { joinEntry, rootEntry, type RosterEntry } from '../../../common/roster/entry.ts';
import { createSigningKey } from '../../../common/signing/signing-key.ts';
import { hashSecret, tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { parseToken } from '../../../proto/enrolment-token.ts';
import type { RunEvent as WireRunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { RunRequest } from '../../../proto/gen/kompose/v1/fleet.ts';
import { Inbox, type StreamEnd } from './inbox.ts';
import type { TestAgent } from './test-agent.ts';
import { call, loginWords, refusal, TestController } from './test-controller.ts';
import type { TestUser } from './test-user.ts';

/** Entries of the roster that the agent hears next. */
function told(agent: TestAgent): Promise<{ after: number; entries: RosterEntry[] }> {
  return agent.inbox.next('the roster', ({ kind }) => (kind?.$case === 'roster' ? kind.value : undefined));
}

/** How a run ends for which something else is signed than is asked for, or by another. */
async function misSigned(
  user: TestUser,
  asked: Partial<RunRequest>,
  signed: Partial<RunRequest> = asked,
  key = user.key,
): Promise<StreamEnd> {
  const words = { ...RunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'ps' };
  const stream = user.client.startRun(user.metadata);
  const inbox = new Inbox<WireRunEvent>(stream);
  stream.write({ kind: { $case: 'request', value: { ...words, ...asked } } });
  const proposal = await inbox.next('a proposal', ({ kind }) =>
    kind?.$case === 'proposal' ? kind.value : undefined,
  );
  const value = signRun({ request: { ...words, ...signed } }, proposal, key, Date.now());
  stream.write({ kind: { $case: 'signed', value } });
  return inbox.ended;
}

describe('the roster', () => {
  test('is told to each agent, from where it stands, and whenever it grows', async (t) => {
    const controller = await TestController.start(t);
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    await controller.user('viewer');
    const parts = [await told(agent), await told(agent)];
    assert.deepEqual(
      parts.map(({ after, entries }) => [after, entries.length]),
      [
        [1, 1],
        [2, 1],
      ],
    );
    const { root, entries } = await (await controller.admin()).roster();
    const hello = { rosterRoot: root ?? '', rosterCount: 1 };
    const back = controller.attach(identity, hello);
    assert.deepEqual(await told(back), { after: 1, entries: entries.slice(1) });
    const { rosterRoot, rosterCount, rosterHead } = await controller.attach(identity, hello).welcomed();
    const { head } = await (await controller.admin()).roster();
    assert.deepEqual([rosterRoot, rosterCount, rosterHead], [root, 3, head]);
  });

  test('takes back from an agent, and from a user, what a restored controller lacks', async (t) => {
    const controller = await TestController.start(t);
    const { identity } = await controller.online('prod-1', ['sexy']);
    const before = await controller.admin();
    await controller.user('viewer');
    const whole = await before.roster();
    const bringers = [
      async (newer: { after: number; entries: RosterEntry[] }) => {
        const agent = controller.attach(identity);
        await agent.welcomed();
        agent.send({ $case: 'roster', value: newer });
        await agent.heartbeat();
      },
      async (newer: { after: number; entries: RosterEntry[] }) => {
        const { client, metadata } = await controller.admin();
        await call((done) => client.syncRoster({ count: 3, newer }, metadata, done));
      },
    ];
    for (const bring of bringers) {
      controller.execute('delete from roster where seq > 1');
      await controller.restart();
      const admin = controller.readmit(before);
      assert.equal((await admin.roster()).count, 1);
      await bring({ after: 1, entries: whole.entries.slice(1) });
      assert.equal((await admin.roster()).head, whole.head);
    }
  });

  test('gives a name free whose user a restored controller lacks, by their removal', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    await controller.login(await controller.token('viewer', { name: 'ada' }));
    controller.execute("delete from users where name = 'ada'");
    await admin.removeUser('ada');
    assert.equal((await admin.roster()).user('ada'), undefined);
    assert.deepEqual(controller.audit('user.removed')[0]?.detail, { user: 'ada' });
    await controller.login(await controller.token('viewer', { name: 'ada' }));
    assert.equal((await refusal(admin.removeUser('eve'))).code, 'not-found');
  });

  test('takes nothing that does not stand', async (t) => {
    const controller = await TestController.start(t);
    const viewer = await controller.user('viewer');
    const eve = createSigningKey();
    const newer = { after: 3, entries: [joinEntry('eve', eve.publicKey, eve)] };
    const sync = call((done) => viewer.client.syncRoster({ count: 0, newer }, viewer.metadata, done));
    assert.equal((await refusal(sync)).status, 'PERMISSION_DENIED');
    assert.equal((await viewer.roster()).count, 3);
  });

  test('is in the audit, entry by entry, with who brought it', async (t) => {
    const controller = await TestController.start(t);
    await controller.user('viewer');
    const { entries } = await (await controller.admin()).roster();
    assert.deepEqual(
      controller.audit('roster.changed').map(({ actor, detail }) => [actor.role, detail]),
      [
        ['admin', { seq: 1, ...entries[0] }],
        ['admin', { seq: 2, ...entries[1] }],
        ['viewer', { seq: 3, ...entries[2] }],
      ],
    );
  });
});

describe('what changes users needs an admin’s signature:', () => {
  test('their removal', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    await controller.login(await controller.token('viewer', { name: 'ada' }));
    const unsigned = { name: 'ada', rosterEntries: [] };
    const answer = call((done) => admin.client.removeUser(unsigned, admin.metadata, done));
    assert.equal((await refusal(answer)).status, 'PERMISSION_DENIED');
    assert.equal(controller.rows("select * from users where name = 'ada'").length, 1);
    await admin.removeUser('ada');
    assert.equal((await admin.roster()).user('ada'), undefined);
  });

  test('each change of their role', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    await controller.login(await controller.token('viewer', { name: 'ada' }));
    for (const role of ['admin', 'viewer', 'operator']) {
      const unsigned = { name: 'ada', role, rosterEntries: [] };
      const answer = call((done) => admin.client.setUserRole(unsigned, admin.metadata, done));
      assert.equal((await refusal(answer)).status, 'PERMISSION_DENIED');
      await admin.setUserRole('ada', role);
      assert.equal((await admin.roster()).user('ada')?.role, role);
    }
  });

  test('a token for one, and its end', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { key, secret } = tokenSecrets('seed');
    const request = { role: 'admin', labels: {}, ttlMs: 0, uses: 0, name: 'eve', replaces: '' };
    const whom = { key: key.publicKey, user: 'eve', role: 'operator', uses: 1, until: 1 };
    const entries = [[], await admin.entries({ type: 'invite', ...whom })];
    for (const rosterEntries of entries) {
      const made = { ...request, secretHash: hashSecret(secret), key: key.publicKey, rosterEntries };
      const answer = call((done) => admin.client.createToken(made, admin.metadata, done));
      assert.equal((await refusal(answer)).status, 'PERMISSION_DENIED');
    }
    const { id, token } = await controller.newToken('viewer');
    const revoke = (rosterEntries: RosterEntry[]) =>
      call((done) => admin.client.revokeToken({ id, rosterEntries }, admin.metadata, done));
    assert.equal((await refusal(revoke([]))).status, 'PERMISSION_DENIED');
    const invite = tokenSecrets(parseToken(token).seed).key.publicKey;
    await revoke(await admin.entries({ type: 'withdraw', key: invite }));
    assert.deepEqual((await admin.roster()).invites, []);
  });

  test('a login makes nobody a user but the token’s holder, under the token’s name', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('viewer', { name: 'ada' });
    const { request: certificateRequest } = await createCertificateRequest();
    const words = loginWords(token);
    const key = createSigningKey();
    const { key: tokenKey } = tokenSecrets(parseToken(token).seed);
    const forgeries = [
      { rosterEntry: undefined },
      { rosterEntry: rootEntry('ada', key) },
      { rosterEntry: joinEntry('ada', key.publicKey, key) },
      { rosterEntry: joinEntry('eve', key.publicKey, tokenKey) },
      { name: 'eve', rosterEntry: joinEntry('eve', key.publicKey, tokenKey) },
    ];
    for (const forgery of forgeries) {
      const message = { ...words, ...forgery, certificateRequest };
      await refusal(call((done) => controller.enrolment().login(message, done)));
    }
    assert.deepEqual(
      controller.rows('select name from users').map(({ name }) => name),
      ['admin'],
    );
    const refused = controller.audit('login.failed').map(({ reason }) => reason ?? '');
    assert.equal(refused.length, forgeries.length);
    await controller.login(token);
  });
});

describe('a run is refused, and not recorded, whose user', () => {
  test('signs another command than they ask for: rights are looked at for what is asked', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const viewer = await controller.user('viewer');
    const others: Partial<RunRequest>[] = [
      { command: 'down' },
      { args: ['-a'] },
      { env: { PATH: '/tmp' } },
      { network: 'x' },
      { timeoutMs: 1 },
      { dryRun: true },
    ];
    for (const signed of others) {
      const { status, message } = await misSigned(viewer, {}, signed);
      assert.equal(status, 'PERMISSION_DENIED', JSON.stringify(signed));
      assert.match(message, /something else was signed/);
    }
    await agent.heartbeat();
    assert.ok(!agent.heard.includes('startTask'));
    assert.deepEqual(controller.rows('select * from runs'), []);
  });

  test('signs with a key that is not theirs', async (t) => {
    const controller = await TestController.start(t);
    await controller.online('prod-1', ['sexy']);
    const [viewer, admin] = [await controller.user('viewer'), await controller.admin()];
    for (const key of [createSigningKey(), admin.key]) {
      const { status, message } = await misSigned(viewer, {}, {}, key);
      assert.equal(status, 'PERMISSION_DENIED');
      assert.match(message, /this login has not the key of viewer-/);
    }
  });

  test('does not sign', async (t) => {
    const controller = await TestController.start(t);
    await controller.online('prod-1', ['sexy']);
    const { client, metadata } = await controller.admin();
    const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'ps' };
    const stream = client.startRun(metadata);
    stream.write({ kind: { $case: 'request', value: request } });
    stream.end();
    assert.equal((await new Inbox(stream).ended).code, 'protocol');
    assert.deepEqual(controller.rows('select * from runs'), []);
  });
});
