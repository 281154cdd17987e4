import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Client, credentials, type ChannelCredentials, type Metadata } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';
import {
  createAuthority,
  identityUri,
  issueClientCertificate,
  type KeyPair,
} from '../../../controller/identity/authority.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { clientChannelOptions, controllerTlsName } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import {
  AgentHello,
  AgentLinkService,
  AgentMessage,
  TaskReport,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../../../proto/gen/kompose/v1/enrolment.ts';
import { FleetService, RunRequest, StartRunInput } from '../../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { Inbox, within, type StreamEnd } from './inbox.ts';
import { call, refusal, TestController } from './test-controller.ts';
import { versionMetadata } from './version-metadata.ts';

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

const fleetMethods: readonly Method[] = Object.values(FleetService);
const agentMethods: readonly Method[] = Object.values(AgentLinkService);
const enrolmentMethods: readonly Method[] = Object.values(EnrolmentService);
const none = Buffer.alloc(0);

/** What a stream that is let in begins with. */
const firstMessages: Readonly<Record<string, Uint8Array>> = {
  [AgentLinkService.attach.path]: AgentMessage.encode({
    kind: { $case: 'hello', value: { ...AgentHello.decode(none), protocolVersion, instanceId: 'i' } },
  }).finish(),
  [AgentLinkService.report.path]: TaskReport.encode({
    kind: { $case: 'opening', value: { taskId: 'T1' } },
  }).finish(),
  [FleetService.startRun.path]: StartRunInput.encode({
    kind: { $case: 'request', value: { ...RunRequest.decode(none), pattern: '*', command: 'ps' } },
  }).finish(),
};

/** Calls any method, with an empty request or as its stream begins; says how that ended. */
async function ask(
  client: Client,
  { path, requestStream, responseStream }: Method,
  first = firstMessages[path] ?? none,
  metadata: Metadata = versionMetadata(),
): Promise<StreamEnd> {
  const write = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const read = (bytes: Buffer): Buffer => bytes;
  if (!responseStream) {
    return refusal(
      call((done) =>
        client.makeUnaryRequest(path, write, read, first, metadata, (error, answer) => done(error, answer)),
      ),
    );
  }
  if (!requestStream)
    return new Inbox(client.makeServerStreamRequest(path, write, read, first, metadata)).ended;
  const stream = client.makeBidiStreamRequest(path, write, read, metadata);
  stream.write(first);
  return new Inbox(stream).ended;
}

function clientWith(controller: TestController, channel: ChannelCredentials): Client {
  return controller.keep(new Client(controller.address, channel, clientChannelOptions));
}

function anonymous(controller: TestController): Client {
  return clientWith(controller, credentials.createSsl(Buffer.from(controller.caCertificate)));
}

async function isRefusedEverywhere(client: Client): Promise<void> {
  for (const method of [...fleetMethods, ...agentMethods]) {
    const { status, message } = await ask(client, method);
    assert.equal(status, 'UNAUTHENTICATED', method.path);
    assert.match(message, /^no valid client certificate/, method.path);
  }
}

describe('a peer without a certificate', () => {
  test('is refused by every method but Join and Login', async (t) => {
    const controller = await TestController.start(t);
    await isRefusedEverywhere(anonymous(controller));
  });

  test('is answered by Join and Login alone', async (t) => {
    const controller = await TestController.start(t);
    for (const method of enrolmentMethods) {
      const { message } = await ask(anonymous(controller), method);
      assert.equal(message.includes('client certificate'), method.path.endsWith('/Renew'), method.path);
    }
  });

  for (const { path, responseStream } of [...fleetMethods, ...agentMethods].filter(
    ({ requestStream }) => requestStream,
  )) {
    test(`is refused by ${path} before it says a word`, async (t) => {
      assert.ok(responseStream);
      const controller = await TestController.start(t);
      const read = (bytes: Buffer): Buffer => bytes;
      const stream = anonymous(controller).makeBidiStreamRequest(path, read, read, versionMetadata());
      const { status } = await within(2_000, 'a refusal', new Inbox(stream).ended).finally(() =>
        stream.cancel(),
      );
      assert.equal(status, 'UNAUTHENTICATED');
    });
  }
});

describe('a certificate', () => {
  test('of a host is refused by every method for users', async (t) => {
    const controller = await TestController.start(t);
    const client = clientWith(controller, identityCredentials(await controller.host('prod-1')));
    for (const method of fleetMethods) {
      const { status, message } = await ask(client, method);
      assert.equal(status, 'PERMISSION_DENIED', method.path);
      assert.equal(message, "this is for users; the certificate is a host's", method.path);
    }
  });

  test('of a user is refused by every method for agents', async (t) => {
    const controller = await TestController.start(t);
    const client = clientWith(controller, identityCredentials((await controller.admin()).identity));
    for (const method of agentMethods) {
      const { status, message } = await ask(client, method);
      assert.equal(status, 'PERMISSION_DENIED', method.path);
      assert.equal(message, "this is for hosts; the certificate is a user's", method.path);
    }
  });

  const strangers: readonly [title: string, make: (controller: TestController) => Promise<Identity>][] = [
    ['that is self-signed', (controller) => selfSigned(controller)],
    [
      'signed with a user’s key instead of the CA’s',
      async (controller) => {
        const { identity } = await controller.admin();
        const forged = await issued(controller, identity);
        return { ...forged, certificate: forged.certificate + identity.certificate };
      },
    ],
    [
      'that has expired',
      async (controller) =>
        issued(controller, await ownAuthority(controller), Date.now() - 400 * 24 * 3_600_000),
    ],
    [
      'that is the controller’s own',
      async ({ folder, caCertificate }) => ({
        privateKey: await readFile(join(folder, 'server.key'), 'utf8'),
        certificate: await readFile(join(folder, 'server.crt'), 'utf8'),
        caCertificate,
      }),
    ],
  ];
  for (const [title, make] of strangers) {
    test(`${title} is worth as much as none`, async (t) => {
      const controller = await TestController.start(t);
      await controller.admin();
      await isRefusedEverywhere(clientWith(controller, identityCredentials(await make(controller))));
    });
  }

  test('of another CA of the same name is refused', async (t) => {
    const controller = await TestController.start(t);
    const identity = await issued(controller, await createAuthority(Date.now()));
    const client = clientWith(controller, identityCredentials(identity));
    for (const method of [...fleetMethods, ...agentMethods]) {
      const { status } = await ask(client, method);
      // OpenSSL cuts the connection of one who shows a CA's name without the CA's signature.
      assert.ok(['UNAUTHENTICATED', 'UNAVAILABLE'].includes(status), `${method.path}: ${status}`);
    }
  });

  test('of the CA for somebody who is not stored is refused', async (t) => {
    const controller = await TestController.start(t);
    await controller.admin();
    const identity = await issued(controller, await ownAuthority(controller));
    const { client, metadata } = controller.userWith(identity);
    const { status } = await refusal(call((done) => client.whoAmI({}, metadata, done)));
    assert.equal(status, 'UNAUTHENTICATED');
  });

  test('is of no use once its user was removed', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const viewer = await controller.user('viewer');
    const whoAmI = (): Promise<{ name: string }> =>
      call((done) => viewer.client.whoAmI({}, viewer.metadata, done));
    const { name } = await whoAmI();
    await call((done) => admin.client.removeUser({ name }, admin.metadata, done));
    const { status, code } = await refusal(whoAmI());
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
    await call((done) => admin.client.removeUser({ name }, admin.metadata, done));
    const { status } = await within(2_000, 'the end of the watch', watched.inbox.ended).finally(() =>
      watched.stream.cancel(),
    );
    assert.equal(status, 'UNAUTHENTICATED');
  });

  test('of the last admin cannot be removed', async (t) => {
    const controller = await TestController.start(t);
    const { client, metadata } = await controller.admin();
    const { status } = await refusal(call((done) => client.removeUser({ name: 'admin' }, metadata, done)));
    assert.equal(status, 'ALREADY_EXISTS');
    await call((done) => client.whoAmI({}, metadata, done));
  });
});

describe('administration', () => {
  const forAdmins = [
    'listAudit',
    'labelHost',
    'removeHost',
    'createToken',
    'listTokens',
    'revokeToken',
    'listUsers',
    'removeUser',
  ] as const;
  for (const role of ['viewer', 'operator']) {
    test(`is refused to the role ${role}, and that is audited`, async (t) => {
      const controller = await TestController.start(t);
      const user = await controller.user(role);
      for (const name of forAdmins) {
        const { status, code } = await ask(
          clientWith(controller, identityCredentials(user.identity)),
          FleetService[name],
        );
        assert.deepEqual({ status, code }, { status: 'PERMISSION_DENIED', code: 'denied' }, name);
      }
      const denied = controller.audit('request.denied');
      assert.equal(denied.length, forAdmins.length);
      assert.equal(denied[0]?.actor.role, role);
    });
  }
});

describe('the wire', () => {
  test('is TLS 1.3', async (t) => {
    const controller = await TestController.start(t);
    const socket = tlsTo(t, controller, {});
    await within(5_000, 'a connection', once(socket, 'secureConnect'));
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    assert.equal(socket.alpnProtocol, 'h2');
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.1'] as const) {
    test(`is not ${maxVersion}`, async (t) => {
      const controller = await TestController.start(t);
      const socket = tlsTo(t, controller, { maxVersion, minVersion: maxVersion });
      const [error] = await within(5_000, 'a refusal', once(socket, 'error'));
      assert.match(String(error), /protocol version|unsupported protocol|no protocols/i);
    });
  }

  test('is never plain text', async (t) => {
    const controller = await TestController.start(t);
    const socket = connectPlain(controller.port, '127.0.0.1');
    t.after(() => socket.destroy());
    let heard = '';
    socket.on('data', (chunk) => void (heard += chunk.toString('latin1')));
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    await within(5_000, 'the end of the connection', once(socket, 'close'));
    assert.doesNotMatch(heard, /grpc|kompose/);
    const insecure = clientWith(controller, credentials.createInsecure());
    const [method] = fleetMethods;
    assert.ok(method !== undefined);
    assert.equal(
      (await ask(insecure, { ...method, requestStream: true, responseStream: true })).status,
      'UNAVAILABLE',
    );
  });

  test('shows a certificate that the fleet’s CA signed for the name that clients ask for', async (t) => {
    const controller = await TestController.start(t);
    const socket = tlsTo(t, controller, { ca: controller.caCertificate, rejectUnauthorized: true });
    await within(5_000, 'a connection', once(socket, 'secureConnect'));
    assert.equal(socket.authorized, true);
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

function tlsTo(t: TestContext, { port }: TestController, options: ConnectionOptions): TLSSocket {
  const given = { host: '127.0.0.1', port, servername: controllerTlsName, ALPNProtocols: ['h2'] };
  const socket = connect({ ...given, rejectUnauthorized: false, ...options });
  t.after(() => socket.destroy());
  return socket;
}

async function ownAuthority({ folder, caCertificate }: TestController): Promise<KeyPair> {
  return { privateKey: await readFile(join(folder, 'ca.key'), 'utf8'), certificate: caCertificate };
}

/** A certificate of the first admin's name that some authority signed. */
async function issued(
  { caCertificate }: TestController,
  authority: KeyPair,
  nowMs = Date.now(),
): Promise<Identity> {
  const { privateKey, request } = await createCertificateRequest();
  const admin = { kind: 'user', name: 'admin' } as const;
  const { certificate } = await issueClientCertificate(authority, request, admin, 365 * 86_400_000, nowMs);
  return { privateKey, certificate, caCertificate };
}

async function selfSigned({ caCertificate }: TestController): Promise<Identity> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const value = identityUri({ kind: 'user', name: 'admin' });
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=admin',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value }])],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const privateKey = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
  return { privateKey, certificate: certificate.toString('pem'), caCertificate };
}
