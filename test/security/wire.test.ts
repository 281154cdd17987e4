import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectPlain, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { before, describe, test, type TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { controllerTlsName } from '../../proto/channel-options.ts';
import { tlsNamePattern } from '../../proto/trust.ts';
import { within } from '../integration/controller/inbox.ts';
import { aptInstall } from '../fleet/apt.ts';
import { withLock } from '../fleet/lock.ts';
import { which } from '../fleet/which.ts';
import { TestController } from '../integration/controller/test-controller.ts';
import { ask, clientWith } from './ask.ts';
import { allMethods } from './methods.ts';

before(async () => {
  if ((await which('openssl')) === undefined) await withLock('rig-install', () => aptInstall(['openssl']));
});

/** What `openssl s_client` says of the controller. */
async function openssl(
  { port, folder, caCertificate }: TestController,
  ...words: string[]
): Promise<{ said: string; exitCode: number | null }> {
  const ca = join(folder, '..', 'ca.crt');
  await writeFile(ca, caCertificate);
  const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', ca, '-alpn', 'h2', ...words];
  const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 10_000 });
  child.stdin.end('');
  const [out, errors, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { said: out + errors, exitCode };
}

describe('the wire, as openssl sees it,', () => {
  test('is TLS 1.3 that asks for a certificate of the fleet’s CA, without compression', async (t) => {
    const controller = await TestController.start(t);
    const { said } = await openssl(controller, '-verify_return_error', '-verify_hostname', controllerTlsName);
    assert.match(said, /New, TLSv1\.3, Cipher is TLS_/);
    assert.match(said, /ALPN protocol: h2/);
    assert.match(said, /Verification: OK/);
    assert.match(said, /Acceptable client certificate CA names\n(?:.*\n)*?.*kompose/i);
    assert.match(said, /Compression: NONE/);
    // TLS 1.3 has no renegotiation; this is openssl's word for it.
    assert.doesNotMatch(said, /Secure Renegotiation IS supported/);
  });

  test('bears the name that clients ask for, and no other', async (t) => {
    const controller = await TestController.start(t);
    const other = await openssl(controller, '-verify_return_error', '-verify_hostname', 'example.org');
    assert.notEqual(other.exitCode, 0);
    assert.match(other.said, /hostname mismatch/i);
  });

  test('is no older TLS', async (t) => {
    const controller = await TestController.start(t);
    for (const version of ['-tls1_2', '-tls1_1', '-tls1']) {
      const { said, exitCode } = await openssl(controller, version);
      assert.notEqual(exitCode, 0);
      assert.doesNotMatch(said, /Server certificate\n/);
      assert.match(said, /alert protocol version|no protocols available/);
    }
  });

  test('bears that name, those by which a CA is asked for, and its addresses, for a server alone', async (t) => {
    const { said } = await openssl(await TestController.start(t));
    const [pem = ''] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(said) ?? [];
    const { subjectAltName, keyUsage, ca } = new X509Certificate(pem);
    const names = [controllerTlsName, tlsNamePattern].map((name) => `DNS:${name}`);
    assert.equal(subjectAltName, [...names, 'IP Address:127.0.0.1'].join(', '));
    assert.deepEqual(keyUsage, ['1.3.6.1.5.5.7.3.1']);
    assert.equal(ca, false);
  });
});

describe('the wire', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.1'] as const) {
    test(`is not ${maxVersion}`, async (t) => {
      const controller = await TestController.start(t);
      const socket = tlsTo(t, controller, { maxVersion, minVersion: maxVersion });
      const [error] = await within(5_000, 'a refusal', once(socket, 'error'));
      assert.match(String(error), /protocol version|unsupported protocol|no protocols/i);
    });
  }

  test('speaks HTTP/2 alone', async (t) => {
    const controller = await TestController.start(t);
    const socket = tlsTo(t, controller, { ALPNProtocols: ['http/1.1'] });
    const [error] = await within(5_000, 'a refusal', once(socket, 'error'));
    assert.match(String(error), /no application protocol|alert/i);
  });

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
    const [method] = allMethods;
    assert.ok(method !== undefined);
    assert.equal((await ask(insecure, method)).status, 'UNAVAILABLE');
  });
});

describe('a peer', () => {
  const http = (socket: Socket): unknown => socket.write('GET / HTTP/1.1\r\n\r\n');
  const noise = (socket: Socket): unknown => socket.write('x'.repeat(100));
  const refused: readonly [string, (t: TestContext, controller: TestController) => Socket, RegExp][] = [
    [
      'TLS 1.2',
      (t, to) => tlsTo(t, to, { maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }),
      /not speak TLS 1\.3$/,
    ],
    ['HTTP/1.1', (t, to) => tlsTo(t, to, { ALPNProtocols: ['http/1.1'] }), /not speak HTTP\/2$/],
    ['plain HTTP', (t, to) => plainTo(t, to, http), /is no TLS, but HTTP$/],
    ['noise', (t, to) => plainTo(t, to, noise), /is no TLS$/],
    ['silence', (t, to) => plainTo(t, to, () => undefined), /not ended its handshake in time$/],
  ];
  test('is recorded where it is refused at the handshake, and not where it just hangs up', async (t) => {
    const controller = await TestController.start(t, { limits: { handshakeMs: 1_000, refusalRecords: 10 } });
    const silent = plainTo(t, controller, () => undefined);
    await once(silent, 'connect');
    silent.end();
    await within(5_000, 'the end of it', once(silent, 'close'));
    for (const [title, connectTo] of refused) {
      const socket = connectTo(t, controller).on('error', () => undefined);
      await within(
        5_000,
        `the end of ${title}`,
        new Promise((resolve) => void socket.once('close', resolve)),
      );
    }
    await controller.restart();
    const records = controller.audit('connection.refused');
    assert.equal(records.length, refused.length, JSON.stringify(records));
    for (const [index, [title, , words]] of refused.entries()) {
      assert.match(records[index]?.reason ?? '', words, title);
      assert.match(records[index]?.reason ?? '', /^the TLS handshake failed: /);
      assert.equal(records[index]?.clientAddress, '127.0.0.1');
    }
  });
});

function plainTo(t: TestContext, { port }: TestController, begin: (socket: Socket) => unknown): Socket {
  const socket = connectPlain(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.once('connect', () => begin(socket)).resume();
  return socket;
}

function tlsTo(t: TestContext, { port }: TestController, options: ConnectionOptions): TLSSocket {
  const given = { host: '127.0.0.1', port, servername: controllerTlsName, ALPNProtocols: ['h2'] };
  const socket = connect({ ...given, rejectUnauthorized: false, ...options });
  t.after(() => socket.destroy());
  return socket;
}
