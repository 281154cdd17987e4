import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { identityCredentials } from '../../../proto/enrol.ts';
import { FleetService } from '../../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { ask, clientWith } from '../../security/ask.ts';
import { within } from './inbox.ts';
import { call, refusal, TestController } from './test-controller.ts';
import { versionMetadata } from './version-metadata.ts';

const fleetMethods = Object.values(FleetService);

describe('a certificate', () => {
  test('is of no use once its user was removed', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const viewer = await controller.user('viewer');
    const whoAmI = (): Promise<{ name: string }> =>
      call((done) => viewer.client.whoAmI({}, viewer.metadata, done));
    const { name } = await whoAmI();
    await admin.removeUser(name);
    let refused = await refusal(whoAmI());
    // The link that the removal cuts may take a call with it; the next one is on a link of its own.
    if (refused.status === 'UNAVAILABLE') refused = await refusal(whoAmI());
    const { status, code } = refused;
    assert.deepEqual({ status, code }, { status: 'UNAUTHENTICATED', code: 'unauthenticated' });
  });

  test('of a removed user ends what it watches at once', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const viewer = await controller.user('viewer');
    const { agent } = await controller.online('prod-1', ['sexy']);
    const watched = viewer.run({ command: 'logs', args: ['-f'] });
    await watched.started();
    await agent.asked();
    const { name } = await call<{ name: string }>((done) => viewer.client.whoAmI({}, viewer.metadata, done));
    await admin.removeUser(name);
    const { status } = await within(2_000, 'the end of the watch', watched.inbox.ended).finally(() =>
      watched.stream.cancel(),
    );
    assert.equal(status, 'UNAUTHENTICATED');
  });

  test('of the last admin cannot be removed', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { client, metadata } = admin;
    const { status } = await refusal(admin.removeUser('admin'));
    assert.equal(status, 'ALREADY_EXISTS');
    await call((done) => client.whoAmI({}, metadata, done));
  });
});

describe('a client of another protocol version', () => {
  for (const version of [String(protocolVersion + 1), '0', '', 'x', `${protocolVersion}.0`]) {
    test(`is refused by every method for users: ${JSON.stringify(version)}`, async (t) => {
      const controller = await TestController.start(t);
      const client = clientWith(controller, identityCredentials((await controller.admin()).identity));
      for (const method of fleetMethods) {
        const { status, code, message } = await ask(client, method, undefined, versionMetadata(version));
        assert.deepEqual({ status, code }, { status: 'FAILED_PRECONDITION', code: 'protocol' }, method.path);
        assert.match(
          message,
          new RegExp(`the controller ${protocolVersion}: upgrade the older`),
          method.path,
        );
      }
    });
  }
});
