import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Client } from '@grpc/grpc-js';
import { defaultLimits } from '../../controller/services/limits.ts';
import { identityCredentials } from '../../proto/enrol.ts';
import { Inbox, within } from '../integration/controller/inbox.ts';
import {
  call,
  TestController,
  type AuditRecord,
  loginWords,
} from '../integration/controller/test-controller.ts';
import { versionMetadata } from '../integration/controller/version-metadata.ts';
import { anonymous, ask, clientWith } from './ask.ts';
import { forgeries, inNameOfCa, ofNobody } from './forged.ts';
import { allMethods, methodsFor, nameOf, type Method } from './methods.ts';

const closed = methodsFor('known', 'host', 'user', 'admin');
const unhurried = { openCalls: 1_000, callsPerSecond: 10_000, burst: 10_000 };

/** No test here is about how much a stranger may ask. */
function start(t: TestContext): Promise<TestController> {
  return TestController.start(t, { limits: { stranger: unhurried } });
}

/** Refused so by each of these methods; `words` is what they are told. */
async function isRefused(
  client: Client,
  methods: readonly Method[],
  refusal: { status: string; code: string; words: RegExp },
): Promise<void> {
  for (const method of methods) {
    const { status, code, message } = await ask(client, method);
    assert.deepEqual({ status, code }, { status: refusal.status, code: refusal.code }, method.path);
    assert.match(message, refusal.words, method.path);
  }
}

/** How many refusals of a type the audit knows of, once the controller has counted them all. */
async function refusalsIn(controller: TestController, type: string): Promise<AuditRecord[]> {
  await controller.restart();
  return controller.audit(type);
}

function countOf(records: readonly AuditRecord[]): number {
  return records.reduce((sum, { detail }) => sum + Number(detail?.['more'] ?? 1), 0);
}

const stranger = {
  status: 'UNAUTHENTICATED',
  code: 'unauthenticated',
  words: /^no valid client certificate/,
};

describe('a peer without a certificate', () => {
  test('is refused by every method but Join and Login, which a few records tell', async (t) => {
    const controller = await start(t);
    await isRefused(anonymous(controller), closed, stranger);
    const records = await refusalsIn(controller, 'request.denied');
    assert.equal(countOf(records), closed.length);
    assert.equal(records.length, defaultLimits.refusalRecords + 1);
    assert.deepEqual(records[0]?.actor, { name: '', role: '', certificate: '' });
    assert.equal(records[0]?.clientAddress, '127.0.0.1');
    assert.match(records.at(-1)?.reason ?? '', /^\d+ more of these: no valid client certificate/);
  });

  test('is answered by Join and Login alone', async (t) => {
    const controller = await start(t);
    for (const method of methodsFor('anybody')) {
      const { message } = await ask(anonymous(controller), method);
      assert.doesNotMatch(message, /client certificate/, method.path);
    }
  });

  test('is offered nothing beside the manual’s methods', async (t) => {
    const controller = await start(t);
    const paths = [
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      '/grpc.health.v1.Health/Check',
    ];
    const { identity } = await controller.admin();
    for (const client of [anonymous(controller), clientWith(controller, identityCredentials(identity))])
      for (const path of [...paths, '/kompose.v1.Fleet/Nothing']) {
        const { status } = await ask(client, { path, requestStream: false, responseStream: false });
        assert.equal(status, 'UNIMPLEMENTED', path);
      }
  });

  test('is refused before it says a word', async (t) => {
    const controller = await start(t);
    const client = anonymous(controller);
    const read = (bytes: Buffer): Buffer => bytes;
    for (const { path } of closed) {
      const stream = client.makeBidiStreamRequest(path, read, read, versionMetadata());
      const { status } = await within(2_000, 'a refusal', new Inbox(stream).ended);
      stream.cancel();
      assert.equal(status, 'UNAUTHENTICATED', path);
    }
  });

  test('cannot fill the audit with failed logins', async (t) => {
    const controller = await start(t);
    const client = controller.enrolment();
    for (let count = 0; count < 20; count++) {
      const message = { ...loginWords(`bogus ${count}`), certificateRequest: Buffer.from('x') };
      await call((done) => client.login(message, done)).catch(() => undefined);
    }
    const records = await refusalsIn(controller, 'login.failed');
    assert.equal(countOf(records), 20);
    assert.equal(records.length, defaultLimits.refusalRecords + 1);
  });
});

describe('a certificate', () => {
  test('that is forged is worth as much as none, and what is wrong with it is recorded', async (t) => {
    for (const [title, { make, flaw }] of Object.entries(forgeries)) {
      await t.test(title, async (inner) => {
        const controller = await start(inner);
        await controller.admin();
        const client = clientWith(controller, identityCredentials(await make(controller)));
        const words = new RegExp(`^no valid client certificate \\(${flaw}\\)`);
        await isRefused(client, closed, { ...stranger, words });
        const records = await refusalsIn(controller, 'request.denied');
        assert.equal(countOf(records), closed.length);
        assert.deepEqual(records[0]?.actor, { name: '', role: '', certificate: '' });
        assert.match(records[0].reason ?? '', words);
      });
    }
  });

  test('in the name of our CA without its signature is cut off before a call, and that is recorded', async (t) => {
    const controller = await start(t);
    const identity = await inNameOfCa(controller);
    for (const method of allMethods) {
      // A connection of its own for each: after a failure gRPC waits before it dials again.
      const { status } = await ask(clientWith(controller, identityCredentials(identity)), method);
      assert.equal(status, 'UNAVAILABLE', method.path);
    }
    assert.equal(controller.audit('request.denied').length, 0);
    const records = await refusalsIn(controller, 'connection.refused');
    assert.ok(countOf(records) >= allMethods.length);
    assert.equal(records.length, defaultLimits.refusalRecords + 1);
    assert.equal(records[0]?.clientAddress, '127.0.0.1');
    assert.match(records[0].reason ?? '', /^no valid client certificate \(it bears the name of our CA/);
  });

  const removed = { status: 'UNAUTHENTICATED', code: 'unauthenticated', words: /removed or replaced/ };

  test('of the CA for somebody who is not stored is refused, and it is recorded whose name it bears', async (t) => {
    const controller = await start(t);
    await controller.admin();
    const client = clientWith(controller, identityCredentials(await ofNobody(controller)));
    await isRefused(client, methodsFor('known', 'user', 'admin'), removed);
    const records = await refusalsIn(controller, 'request.denied');
    assert.equal(countOf(records), methodsFor('known', 'user', 'admin').length);
    assert.equal(records[0]?.actor.name, 'admin');
    assert.equal(records[0].actor.role, '');
  });

  test('of a removed user is refused by every method, also when the name is given again', async (t) => {
    const controller = await start(t);
    const admin = await controller.admin();
    const login = async () => controller.login(await controller.token('viewer', { name: 'ada' }));
    const ada = await login();
    await admin.removeUser('ada');
    const client = clientWith(controller, identityCredentials(ada));
    await isRefused(client, methodsFor('known', 'user', 'admin'), removed);
    await login();
    await isRefused(client, methodsFor('known', 'user', 'admin'), removed);
    const records = await refusalsIn(controller, 'request.denied');
    assert.equal(countOf(records), 2 * methodsFor('known', 'user', 'admin').length);
    assert.ok(records.every(({ actor }) => actor.name === 'ada'));
  });

  test('of a removed host is refused by every method, also when the name is given again', async (t) => {
    const controller = await start(t);
    const admin = await controller.admin();
    const identity = await controller.host('prod-1');
    await call((done) => admin.client.removeHost({ name: 'prod-1' }, admin.metadata, done));
    const client = clientWith(controller, identityCredentials(identity));
    const denied = { status: 'PERMISSION_DENIED', code: 'denied' };
    const methods = methodsFor('known', 'host');
    await isRefused(client, methods, { ...denied, words: /was removed from the fleet/ });
    await controller.host('prod-1');
    await isRefused(client, methods, { ...denied, words: /joined again with another certificate/ });
    const all = await refusalsIn(controller, 'host.refused');
    assert.equal(countOf(all), 2 * methodsFor('host').length);
    assert.ok(all.every(({ host }) => host === 'prod-1'));
    assert.equal(countOf(controller.audit('request.denied')), 2);
  });

  test('of a host is refused by every method for users', async (t) => {
    const controller = await start(t);
    const client = clientWith(controller, identityCredentials(await controller.host('prod-1')));
    const methods = methodsFor('user', 'admin');
    const words = /^this is for users; the certificate is a host's$/;
    await isRefused(client, methods, { status: 'PERMISSION_DENIED', code: 'denied', words });
    const records = await refusalsIn(controller, 'request.denied');
    assert.equal(countOf(records), methods.length);
    assert.deepEqual(records[0]?.actor.name, 'prod-1');
  });

  test('of a user is refused by every method for agents', async (t) => {
    const controller = await start(t);
    const client = clientWith(controller, identityCredentials((await controller.admin()).identity));
    const words = /^this is for hosts; the certificate is a user's$/;
    await isRefused(client, methodsFor('host'), { status: 'PERMISSION_DENIED', code: 'denied', words });
    const records = await refusalsIn(controller, 'request.denied');
    assert.equal(countOf(records), methodsFor('host').length);
    assert.equal(records[0]?.actor.role, 'admin');
  });
});

describe('administration', () => {
  test('is refused to every other role, and that is recorded', async (t) => {
    for (const role of ['viewer', 'operator', 'deployer']) {
      const controller = await start(t);
      const { client: admin, metadata } = await controller.admin();
      if (role === 'deployer') {
        const rules = 'allow * *\nenv *';
        await call((done) => admin.setRole({ name: role, rules }, metadata, done));
      }
      const { identity } = await controller.user(role);
      const client = clientWith(controller, identityCredentials(identity));
      const words = new RegExp(`needs the role admin; yours is ${role}$`);
      const methods = methodsFor('admin');
      await isRefused(client, methods, { status: 'PERMISSION_DENIED', code: 'denied', words });
      const records = await refusalsIn(controller, 'request.denied');
      assert.equal(countOf(records), methods.length);
      assert.ok(records.every(({ actor }) => actor.role === role));
      assert.equal(records[0]?.detail?.['method'], nameOf(methods[0] ?? { path: '' }));
    }
  });
});

test('refusals of more addresses than are told apart share a record', async (t) => {
  const limits = { stranger: unhurried, refusedAddresses: 0 };
  const controller = await TestController.start(t, { limits });
  await isRefused(anonymous(controller), closed, stranger);
  const own = controller.audit('request.denied').length;
  assert.equal(own, defaultLimits.refusalRecords);
});
