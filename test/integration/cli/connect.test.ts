import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { signingKeyFromPem } from '../../../common/signing/signing-key.ts';
import { runCli } from './cli-process.ts';
import { createKeys, FakeController, type Script } from './fake-controller.ts';

async function folder(t: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'kompose-cli-'));
  t.after(() => rm(home, { recursive: true }));
  return home;
}

async function serve(t: TestContext, script: Script = {}, userDays = 1): Promise<FakeController> {
  const controller = await FakeController.start(script, await createKeys(userDays));
  t.after(() => controller.kill());
  return controller;
}

async function silentPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}

test('stores a login that only its owner can read, and forgets it', async (t) => {
  const home = await folder(t);
  const controller = await serve(t);
  const login = await runCli(home, 'login', controller.token);
  assert.equal(login.code, 0);
  assert.equal(login.stdout, '');
  assert.equal(login.stderr, `logged in to ${controller.address} as ada (admin)\n`);
  const context = join(home, 'user/contexts/default');
  assert.deepEqual((await readdir(context)).toSorted(), [
    'ca.crt',
    'client.crt',
    'client.key',
    'context.json',
    'signing.key',
  ]);
  for (const path of ['user', 'user/contexts', 'user/contexts/default']) {
    assert.equal((await stat(join(home, path))).mode & 0o777, 0o700, path);
  }
  for (const file of await readdir(context))
    assert.equal((await stat(join(context, file))).mode & 0o777, 0o600, file);
  const { root, ...told } = JSON.parse(await readFile(join(context, 'context.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  assert.deepEqual(told, { addresses: [controller.address], name: 'ada', role: 'admin' });
  assert.match(String(root), /^[0-9a-f]{64}$/);
  assert.equal((await runCli(home, 'logout')).code, 0);
  assert.deepEqual(await readdir(join(home, 'user/contexts')), []);
  const { code, stderr } = await runCli(home, 'hosts');
  assert.equal(code, 5);
  assert.match(stderr, /^kompose: not logged in .*kompose login TOKEN.*\n$/);
});

test('keeps several logins apart and uses the last one', async (t) => {
  const home = await folder(t);
  const controller = await serve(t, {
    fleet: {
      whoAmI: (_, callback) =>
        callback(null, {
          name: 'ada',
          role: 'admin',
          certificateNotAfterUnixMs: 1000,
          controllerVersion: '9.9',
        }),
    },
  });
  await runCli(home, 'login', controller.token);
  await runCli(home, 'login', controller.token, '--context', 'second');
  assert.equal(await readFile(join(home, 'user/current'), 'utf8'), 'second\n');
  const { code, stdout } = await runCli(home, '--context', 'default', 'whoami', '-o', 'json');
  assert.equal(code, 0);
  const key = signingKeyFromPem(await readFile(join(home, 'user/contexts/default/signing.key'), 'utf8'));
  // Whoever logs in with this controller's token begins the roster.
  const root = keyFingerprint(key.publicKey);
  assert.deepEqual(JSON.parse(stdout), {
    name: 'ada',
    role: 'admin',
    controller: controller.address,
    expires: '1970-01-01T00:00:01.000Z',
    controllerVersion: '9.9',
    auditKey: null,
    signingKey: root,
    root,
  });
  const wrong = await runCli(home, '--context', 'secnd', 'whoami');
  assert.equal(wrong.code, 5);
  assert.match(wrong.stderr, /did you mean "second"\?/);
});

test('refuses a folder that others may look into, before it uses the token', async (t) => {
  const home = await folder(t);
  await mkdir(join(home, 'user'));
  await chmod(join(home, 'user'), 0o755);
  const { code, stderr } = await runCli(home, 'login', (await serve(t)).token);
  assert.equal(code, 1);
  assert.match(stderr, /open to others: run chmod 700 /);
  assert.deepEqual(await readdir(join(home, 'user')), []);
});

test('refuses a key that others may read', async (t) => {
  const home = await folder(t);
  await runCli(home, 'login', (await serve(t)).token);
  await chmod(join(home, 'user/contexts/default/client.key'), 0o644);
  const { code, stderr } = await runCli(home, 'hosts');
  assert.equal(code, 1);
  assert.match(stderr, /client\.key is open to others/);
});

test('says so when the login is damaged', async (t) => {
  const home = await folder(t);
  await runCli(home, 'login', (await serve(t)).token);
  await writeFile(join(home, 'user/contexts/default/context.json'), '{');
  const { code, stderr } = await runCli(home, 'hosts');
  assert.equal(code, 1);
  assert.match(stderr, /is damaged .* log in anew\n$/);
});

test('ends 2 for a word that is no token and 5 for one that is used up', async (t) => {
  const home = await folder(t);
  const controller = await serve(t);
  assert.equal((await runCli(home, 'login', 'kmp1.nonsense')).code, 2);
  const text = Buffer.from(controller.token.slice('kmp1.'.length), 'base64url').toString();
  const used = `kmp1.${Buffer.from(text.replace('good', 'used')).toString('base64url')}`;
  const { code, stderr } = await runCli(home, 'login', used);
  assert.equal(code, 5);
  assert.equal(stderr, 'kompose: this token cannot be used\n');
});

test('ends 6 at once where nothing listens', async (t) => {
  const home = await folder(t);
  const controller = await serve(t);
  await runCli(home, 'login', controller.token);
  await controller.kill();
  const { code, stderr } = await runCli(home, 'hosts');
  assert.equal(code, 6);
  assert.match(stderr, /^kompose: cannot reach the controller at .*: connection refused.*\n$/);
});

test('ends 6 within ten seconds where the peer is silent', async (t) => {
  const home = await folder(t);
  await runCli(home, 'login', (await serve(t)).token);
  const address = `127.0.0.1:${await silentPort(t)}`;
  const begun = performance.now();
  const { code, stderr } = await runCli(home, '--controller', address, 'sexy', 'up');
  assert.equal(code, 6);
  assert.ok(performance.now() - begun < 10_500);
  assert.match(stderr, /cannot reach the controller/);
});

test('tries the addresses of the login in order', async (t) => {
  const home = await folder(t);
  const controller = await serve(t, { fleet: { listHosts: (call) => call.end() } });
  await runCli(home, 'login', controller.token);
  const path = join(home, 'user/contexts/default/context.json');
  const context: object = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...context, addresses: ['127.0.0.1:1', controller.address] }));
  assert.equal((await runCli(home, 'hosts')).code, 0);
});

test('ends 5 when the certificate has expired', async (t) => {
  const home = await folder(t);
  const controller = await serve(t, {}, -1);
  await runCli(home, 'login', controller.token);
  await controller.kill();
  const { code, stderr } = await runCli(home, 'hosts');
  assert.equal(code, 5);
  assert.match(stderr, /your certificate expired at .*: log in with a new token/);
});

test('refuses an address without a port', async (t) => {
  const home = await folder(t);
  await runCli(home, 'login', (await serve(t)).token);
  const { code, stderr } = await runCli(home, '--controller', 'somewhere', 'hosts');
  assert.equal(code, 2);
  assert.match(stderr, /"somewhere" is not an address: write HOST:PORT/);
});
