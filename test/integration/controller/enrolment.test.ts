import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { hashSecret } from '../../../common/signing/token-secrets.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { openEnrolment } from '../../../proto/enrol.ts';
import { formatToken, parseToken } from '../../../proto/enrolment-token.ts';
import type { JoinResponse, LoginResponse } from '../../../proto/gen/kompose/v1/enrolment.ts';
import { Inbox } from './inbox.ts';
import { call, refusal, TestController, loginWords, secretOf } from './test-controller.ts';

function detailOf(certificate: string): string {
  return new X509Certificate(certificate).subjectAltName ?? '';
}

describe('a join', () => {
  test('makes a host with the token’s labels over its own', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent', { labels: { env: 'prod' } });
    const { certificate, labels } = await controller.join(token, 'prod-1', { env: 'mine', disk: 'ssd' });
    assert.deepEqual(labels, { env: 'prod', disk: 'ssd' });
    assert.equal(detailOf(certificate), 'URI:spiffe://kompose/host/prod-1');
    const [joined] = controller.audit('host.joined');
    assert.equal(joined?.host, 'prod-1');
    const [row] = controller.rows('select * from hosts');
    assert.equal(row?.['name'], 'prod-1');
  });

  test('takes the name from the request, whatever the certificate request says', async (t) => {
    const controller = await TestController.start(t);
    const { certificate } = await controller.join(await controller.token('agent'), 'prod-1');
    assert.ok(new X509Certificate(certificate).subject.includes('CN=prod-1'));
    assert.equal(new X509Certificate(certificate).ca, false);
  });

  test('is refused with a name that is taken, which leaves the token as it was', async (t) => {
    const controller = await TestController.start(t);
    await controller.host('prod-1');
    const token = await controller.token('agent');
    const { status, code } = await refusal(controller.join(token, 'prod-1'));
    assert.deepEqual({ status, code }, { status: 'ALREADY_EXISTS', code: 'conflict' });
    await controller.join(token, 'prod-2');
  });

  for (const name of ['', '..', 'a/b', 'a b', 'x'.repeat(64), 'user/ada']) {
    test(`is refused with the name ${JSON.stringify(name)}`, async (t) => {
      const controller = await TestController.start(t);
      const { status } = await refusal(controller.join(await controller.token('agent'), name));
      assert.equal(status, 'INVALID_ARGUMENT');
      assert.deepEqual(controller.rows('select * from hosts'), []);
    });
  }

  test('is refused with a certificate request that is none', async (t) => {
    const controller = await TestController.start(t);
    const message = { tokenSecret: 'x', name: 'prod-1', labels: {}, certificateRequest: Buffer.from('no') };
    const answer = call<JoinResponse>((done) => controller.enrolment().join(message, done));
    assert.equal((await refusal(answer)).status, 'INVALID_ARGUMENT');
  });
});

describe('a login', () => {
  test('makes the user that the token was made for', async (t) => {
    const controller = await TestController.start(t);
    const { certificate, name, role } = await controller.login(controller.firstToken);
    assert.deepEqual({ name, role }, { name: 'admin', role: 'admin' });
    assert.equal(detailOf(certificate), 'URI:spiffe://kompose/user/admin');
    assert.equal(controller.audit('user.login')[0]?.actor.name, 'admin');
  });

  test('makes up a name where the token has none', async (t) => {
    const controller = await TestController.start(t);
    const { name, role } = await controller.login(await controller.token('viewer'));
    assert.match(name, /^viewer-[a-z]{6}$/);
    assert.equal(role, 'viewer');
  });
});

describe('a token', () => {
  const words = 'this token is not valid (any more): ask an admin for a new one';

  test('is used once, and its reuse is audited', async (t) => {
    const controller = await TestController.start(t);
    await controller.login(controller.firstToken);
    const { status, code, message } = await refusal(controller.login(controller.firstToken));
    assert.deepEqual({ status, code }, { status: 'UNAUTHENTICATED', code: 'unauthenticated' });
    assert.ok(message.startsWith(words));
    const [failed] = controller.audit('login.failed');
    assert.equal(failed?.reason, message);
  });

  test('is used as often as it was made for', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent', { uses: 2 });
    await controller.join(token, 'prod-1');
    await controller.join(token, 'prod-2');
    assert.equal((await refusal(controller.join(token, 'prod-3'))).status, 'UNAUTHENTICATED');
  });

  test('is used once by many at the same time', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent');
    const joins = ['a', 'b', 'c', 'd'].map((name) =>
      controller.join(token, name).then(
        () => 'joined',
        () => 'refused',
      ),
    );
    assert.deepEqual((await Promise.all(joins)).toSorted(), ['joined', 'refused', 'refused', 'refused']);
    assert.equal(controller.rows('select * from hosts').length, 1);
  });

  test('is of no use once it has expired', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent', { ttlMs: 1 });
    await new Promise((resolve) => void setTimeout(resolve, 2));
    assert.equal((await refusal(controller.join(token, 'prod-1'))).status, 'UNAUTHENTICATED');
  });

  test('is of no use once it was revoked', async (t) => {
    const controller = await TestController.start(t);
    const { client, metadata } = await controller.admin();
    const made = await controller.newToken('agent');
    await call((done) => client.revokeToken({ id: made.id, rosterEntries: [] }, metadata, done));
    assert.equal((await refusal(controller.join(made.token, 'prod-1'))).status, 'UNAUTHENTICATED');
  });

  for (const bogus of ['', 'bogus', "' or 1=1 --", 'x'.repeat(10_000)]) {
    test(`that nobody made is refused: ${bogus.slice(0, 12)}`, async (t) => {
      const controller = await TestController.start(t);
      for (const ask of [() => controller.login(bogus), () => controller.join(bogus, 'prod-1')]) {
        const { status, message } = await refusal(ask());
        assert.equal(status, 'UNAUTHENTICATED');
        assert.ok(message.startsWith(words));
      }
    });
  }

  test('of the wrong kind is refused in the same words, and stays good', async (t) => {
    const controller = await TestController.start(t);
    const [agent, viewer] = [await controller.token('agent'), await controller.token('viewer')];
    assert.ok((await refusal(controller.login(agent))).message.startsWith(words));
    assert.ok((await refusal(controller.join(viewer, 'prod-1'))).message.startsWith(words));
    await controller.login(viewer);
    await controller.join(agent, 'prod-1');
  });

  test('is kept as a hash only', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent');
    const all = JSON.stringify([controller.rows('select * from tokens'), controller.audit()]);
    for (const each of [token, controller.firstToken]) {
      assert.ok(!all.includes(parseToken(each).seed));
      assert.ok(!all.includes(secretOf(each)));
    }
  });

  test('is shown once: no listing has its secret, or its hash', async (t) => {
    const controller = await TestController.start(t);
    const token = await controller.token('agent');
    const { client, metadata } = await controller.admin();
    const inbox = new Inbox(client.listTokens({}, metadata));
    await inbox.ended;
    assert.equal(inbox.all.length, 1);
    const listed = JSON.stringify(inbox.all);
    for (const kept of [parseToken(token).seed, secretOf(token), hashSecret(secretOf(token))])
      assert.ok(!listed.includes(kept));
  });

  test('is not sent to a controller of another CA', async (t) => {
    const [own, other] = [await TestController.start(t), await TestController.start(t)];
    const token = parseToken(own.firstToken);
    const misled = formatToken({ ...token, addresses: [other.address] });
    await assert.rejects(openEnrolment(misled), {
      code: 'unauthenticated',
      message: /or has another CA since: ask an admin for a new token/,
    });
    assert.deepEqual(other.audit('login.failed'), []);
  });

  test('leads to its controller, by its second address too', async (t) => {
    const controller = await TestController.start(t);
    const first = parseToken(controller.firstToken);
    const token = formatToken({ ...first, addresses: ['127.0.0.1:1', controller.address] });
    const enrolment = await openEnrolment(token);
    controller.keep(enrolment.client);
    assert.equal(enrolment.address, controller.address);
    const { request } = await createCertificateRequest();
    const message = { ...loginWords(token), certificateRequest: request };
    const answer = await call<LoginResponse>((done) => enrolment.client.login(message, done));
    assert.equal(answer.name, 'admin');
  });
});

test('joins and logins are limited for all callers together', async (t) => {
  const controller = await TestController.start(t);
  const client = controller.enrolment();
  const message = { ...loginWords('bogus'), certificateRequest: Buffer.from('x') };
  const answers = Array.from({ length: 600 }, () =>
    refusal(call<LoginResponse>((done) => client.login(message, done))),
  );
  const outcomes = await Promise.all(answers);
  const refused = outcomes.find(({ status }) => status === 'RESOURCE_EXHAUSTED');
  // How many fill the bucket again meanwhile depends on the machine.
  assert.equal(refused?.code, 'too-many-requests');
});
