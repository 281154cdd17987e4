import assert from 'node:assert/strict';
import { copyFile, readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { describe, test, type TestContext } from 'node:test';
import { Server } from '@grpc/grpc-js';
import { loadState } from '../../../controller/config.ts';
import {
  createServerPair,
  issueClientCertificate,
  type KeyPair,
} from '../../../controller/identity/authority.ts';
import { dropAuthority, rotateAuthority } from '../../../controller/rotation.ts';
import { ControllerCredentials } from '../../../controller/services/server-credentials.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { channelOptionsFor, controllerTlsName } from '../../../proto/channel-options.ts';
import { parseToken } from '../../../proto/enrolment-token.ts';
import { identityCredentials, renewIdentity, type Identity } from '../../../proto/enrol.ts';
import { FleetClient } from '../../../proto/gen/kompose/v1/fleet.ts';
import { tlsNamePattern, trustOf } from '../../../proto/trust.ts';
import { call, refusal, TestController } from './test-controller.ts';
import { versionMetadata } from './version-metadata.ts';

/** A controller whose CA was stolen and then changed; and somebody who has followed. */
async function rotated(
  t: TestContext,
): Promise<{ controller: TestController; stolen: KeyPair; before: Identity; after: Identity }> {
  const controller = await TestController.start(t);
  const { identity: before } = await controller.admin();
  const { authority: stolen } = await loadState(controller.folder);
  await rotateAuthority(controller.folder);
  const { caFingerprint } = parseToken(controller.firstToken);
  // The controller looks once a second; tokens tell by which CA it goes.
  while (parseToken(await controller.token('viewer')).caFingerprint === caFingerprint);
  const after = await renewIdentity(controller.address, before);
  return { controller, stolen, before, after };
}

function whoAmI(address: string, identity: Identity): Promise<unknown> {
  const options = channelOptionsFor(identity.caCertificate);
  const client = new FleetClient(address, identityCredentials(identity), options);
  return call((done) => client.whoAmI({}, versionMetadata(), done)).finally(() => client.close());
}

/** Until the controller takes nobody any more who has the CA that was dropped. */
async function untilDropped({ address }: TestController, before: Identity): Promise<void> {
  const isTaken = (): Promise<boolean> =>
    whoAmI(address, before).then(
      () => true,
      () => false,
    );
  while (await isTaken());
}

/** Something that stands in the controller's place with a certificate of that CA. */
async function impostor(t: TestContext, ca: KeyPair): Promise<string> {
  const pair = await createServerPair(ca, [controllerTlsName, tlsNamePattern], Date.now());
  const [authority = ''] = trustOf(ca.certificate);
  const certificateChain = pair.certificate + ca.certificate;
  const identity = {
    privateKey: pair.privateKey,
    authority,
    certificateChain,
    caCertificates: ca.certificate,
  };
  const server = new Server();
  t.after(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', new ControllerCredentials([identity]), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return `127.0.0.1:${port}`;
}

describe('while the CA is rotated', () => {
  test('certificates of both are taken, and each is shown one that it knows', async (t) => {
    const { controller, before, after } = await rotated(t);
    assert.equal(trustOf(after.caCertificate).length, 2);
    await whoAmI(controller.address, before);
    await whoAmI(controller.address, after);
    const [, next = ''] = trustOf(after.caCertificate);
    const onlyNew = after.caCertificate.slice(after.caCertificate.lastIndexOf('-----BEGIN'));
    assert.deepEqual(trustOf(onlyNew), [next]);
    await whoAmI(controller.address, { ...after, caCertificate: onlyNew });
  });
});

describe('a CA that was dropped', () => {
  test('signs nobody in any more', async (t) => {
    const { controller, stolen, before, after } = await rotated(t);
    await dropAuthority(controller.folder, true);
    await untilDropped(controller, before);
    const { privateKey, request } = await createCertificateRequest();
    const admin = { kind: 'user', name: 'admin' } as const;
    const { certificate } = await issueClientCertificate(stolen, request, admin, 86_400_000, Date.now());
    const { caCertificate } = after;
    for (const forged of [
      { privateKey, certificate, caCertificate },
      { ...before, caCertificate },
    ]) {
      const { status } = await refusal(whoAmI(controller.address, forged));
      assert.equal(status, 'UNAUTHENTICATED');
    }
    await whoAmI(controller.address, after);
  });

  test('makes no controller for those who have followed', async (t) => {
    const { controller, stolen, before, after } = await rotated(t);
    await dropAuthority(controller.folder, true);
    await untilDropped(controller, before);
    const followed = await renewIdentity(controller.address, after);
    assert.equal(trustOf(followed.caCertificate).length, 1);
    const address = await impostor(t, stolen);
    // Who has not followed is led astray: the impostor is a good one.
    assert.equal((await refusal(whoAmI(address, before))).status, 'UNIMPLEMENTED');
    const { status, message } = await refusal(whoAmI(address, followed));
    assert.equal(status, 'UNAVAILABLE');
    assert.match(message, /certificate/);
  });
});

describe('the controller’s folder', () => {
  test('holds no rotation where one was cut off before the new CA was there', async (t) => {
    const { folder } = await TestController.start(t);
    for (const part of ['key', 'crt'])
      await copyFile(join(folder, `ca.${part}`), join(folder, `ca.old.${part}`));
    const { authority, retiring } = await loadState(folder);
    assert.equal(retiring, undefined);
    assert.equal(authority.certificate, await readFile(join(folder, 'ca.crt'), 'utf8'));
    await rotateAuthority(folder);
    assert.equal((await loadState(folder)).retiring?.certificate, authority.certificate);
  });
});

test('the controller’s own certificate is made anew while it serves, and links stay', async (t) => {
  const controller = await TestController.start(t, { ownRenewalMs: 50 });
  const { agent } = await controller.online('prod-1', ['sexy']);
  const first = await servedBy(controller);
  while ((await servedBy(controller)) === first);
  await agent.heartbeat();
});

/** The serial number of the certificate that a newcomer is shown. */
async function servedBy({ port }: TestController): Promise<string> {
  const where = { host: '127.0.0.1', port, servername: controllerTlsName, ALPNProtocols: ['h2'] };
  const socket = connect({ ...where, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const serial = socket.getPeerX509Certificate()?.serialNumber ?? '';
  socket.destroy();
  return serial;
}
