import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { parseToken } from '../../proto/enrolment-token.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1');
});
after(() => fleet.stop());

/** Ends as wanted, and gives what it prints on stdout. */
async function expect(code: number, home: string, ...words: string[]): Promise<string> {
  const ended = await fleet.run(home, words);
  assert.equal(ended.code, code, `kompose ${words.join(' ')}: ${ended.stderr}`);
  return ended.stdout;
}

async function refused(home: string, ...words: string[]): Promise<string> {
  const { code, stderr } = await fleet.run(home, words);
  assert.notEqual(code, 0, words.join(' '));
  return stderr;
}

async function whoami(home: string): Promise<Record<string, unknown>> {
  return JSON.parse(await expect(0, home, '-o', 'json', 'whoami')) as Record<string, unknown>;
}

async function auditTypes(): Promise<unknown[]> {
  return (await fleet.objects('audit', 'ls')).map(({ type }) => type);
}

describe('controller address', () => {
  test('add: one more name in the certificate that is served, and in tokens made later', async () => {
    const { port } = new URL(`tcp://${fleet.address}`);
    await expect(0, 'controller', 'controller', 'address', 'add', `localhost:${port}`);
    await fleet.until('it is served', async () => (await servedNames()).includes('DNS:localhost'));
    const token = await expect(0, 'admin', 'tokens', 'create', '--role', 'viewer');
    assert.deepEqual(parseToken(token.trim()).addresses, [fleet.address, `localhost:${port}`]);
    assert.equal(
      await expect(0, 'controller', 'controller', 'address'),
      `${fleet.address}\nlocalhost:${port}\n`,
    );
    const earlier = await whoami('admin');
    assert.equal(earlier['name'], 'admin');
    assert.ok((await auditTypes()).includes('controller.address-added'));
  });

  test('add: one that is there, or is none, is refused', async () => {
    assert.match(await refused('controller', 'controller', 'address', 'add', fleet.address), /already/);
    const { code } = await fleet.run('controller', ['controller', 'address', 'add', 'control']);
    assert.equal(code, 2);
  });

  async function servedNames(): Promise<string> {
    const [host = '', port = ''] = fleet.address.split(':');
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    await once(socket, 'secureConnect');
    const names = socket.getPeerX509Certificate()?.subjectAltName ?? '';
    socket.destroy();
    return names;
  }
});

describe('agent join, of a host that is there', () => {
  test('is refused without a token that replaces it', async () => {
    const token = (await expect(0, 'admin', 'tokens', 'create', '--role', 'agent')).trim();
    const words = ['agent', 'join', token, '--name', 'prod-1', '--stacks', fleet.stacks('prod-1')];
    assert.match(await refused('imposter', ...words), /tokens create --role agent --replace prod-1/);
    assert.match(await refused('prod-1', ...words), /give --replace to join anew/);
  });

  test('takes its place with one; the machine that had it is told so', async () => {
    const made = await expect(0, 'admin', 'tokens', 'create', '--role', 'agent', '--replace', 'prod-1');
    const words = (name: string): string[] => {
      return ['agent', 'join', made.trim(), '--name', name, '--stacks', fleet.stacks('prod-1')];
    };
    assert.match(await refused('other', ...words('prod-9')), /for the host prod-1 to join again/);
    await expect(0, 'prod-1-new', ...words('prod-1'));
    const { code, stderr } = await fleet.run('prod-1', ['agent', 'serve']);
    assert.equal(code, 5);
    assert.match(stderr, /prod-1 has joined again with another certificate/);
    await fleet.startAgent('prod-1-new');
    await fleet.untilKnown('prod-1:sexy');
    await expect(0, 'admin', 'sexy', 'ps');
    const joins = (await fleet.objects('audit', 'ls')).filter(({ type }) => type === 'host.joined');
    assert.match(JSON.stringify(joins.at(-1)?.['detail']), /"replaced":true/);
  });

  test('--replace is for hosts', async () => {
    const words = ['tokens', 'create', '--role', 'viewer', '--replace', 'prod-1'];
    const { code, stderr } = await fleet.run('admin', words);
    assert.deepEqual([code, stderr.includes('--role agent')], [2, true]);
  });
});

describe('certificates', () => {
  const hosts = 'prod-short';

  before(async () => {
    await fleet.stopController();
    Object.assign(fleet.env, {
      KOMPOSE_HEARTBEAT: '300ms',
      KOMPOSE_HOST_CERTIFICATE: '9s',
      KOMPOSE_USER_CERTIFICATE: '12s',
    });
    await fleet.startController();
  });

  test('of a host are renewed before they end, without losing the task that runs', async () => {
    const token = (await expect(0, 'admin', 'tokens', 'create', '--role', 'agent')).trim();
    const action = 'touch began; while [[ ! -e go ]]; do sleep 0.1; done; echo all of it\n';
    await mkdir(join(fleet.stacks(hosts), 'slow'), { recursive: true });
    await fleet.writeStack(hosts, 'slow', { 'action.sh': action });
    await expect(0, hosts, 'agent', 'join', token, '--name', hosts, '--stacks', fleet.stacks(hosts));
    const first = await hostCertificate();
    await fleet.startAgent(hosts);
    const run = fleet.run('admin', [`${hosts}:slow`, 'up', '-d']);
    const isRenewed = async () => (await hostCertificate()).serialNumber !== first.serialNumber;
    await fleet.until('it is renewed', isRenewed);
    const renewed = await hostCertificate();
    assert.ok(Date.now() < first.validToDate.getTime());
    assert.ok(renewed.validToDate > first.validToDate);
    const isOver = async () => Date.now() > first.validToDate.getTime() + 1_000;
    await fleet.until('the first has ended', isOver);
    await writeFile(join(fleet.stacks(hosts), 'slow', 'go'), '');
    const { code, stdout } = await run;
    assert.deepEqual([code, stdout], [0, 'all of it\n']);
    const [host] = await fleet.objects('hosts', 'show', hosts);
    assert.equal(host?.['online'], true);
    assert.ok((await auditTypes()).includes('certificate.renewed'));
  });

  test('that are about to end are told by hosts ls and doctor', async () => {
    assert.match(await expect(0, 'admin', 'hosts'), /prod-short +online, certificate ends in 0 days/);
    const findings = (await fleet.objects('doctor')).filter(({ status }) => status === 'warn');
    const told = findings.find(({ check }) => check === `host ${hosts}`);
    assert.match(String(told?.['text']), /certificate ends in 0 days/);
    assert.match(String(told?.['remedy']), /renews the certificate by itself/);
  });

  test('of a user are renewed when they are used', async () => {
    const token = (await expect(0, 'admin', 'tokens', 'create', '--role', 'viewer', '--name', 'vera')).trim();
    await expect(0, 'vera', 'login', token);
    const { expires } = await whoami('vera');
    let now = expires;
    await fleet.until('it is renewed', async () => {
      now = (await whoami('vera'))['expires'];
      return now !== expires;
    });
    assert.ok(String(now) > String(expires));
    await fleet.until('the first has ended', async () => Date.now() > Date.parse(String(expires)));
    assert.equal((await whoami('vera'))['name'], 'vera');
  });

  test('of a user that have ended are 5, with the way to another', async () => {
    await fleet.stopController();
    fleet.env['KOMPOSE_USER_CERTIFICATE'] = '1ms';
    await fleet.startController();
    const token = (await expect(0, 'admin', 'tokens', 'create', '--role', 'viewer')).trim();
    await expect(0, 'late', 'login', token);
    const { code, stderr } = await fleet.run('late', ['whoami']);
    assert.equal(code, 5);
    assert.match(stderr, /certificate expired at .*: log in with a new token \(kompose login TOKEN\)/);
  });

  async function hostCertificate(): Promise<X509Certificate> {
    return new X509Certificate(await readFile(join(fleet.home(hosts), 'agent/agent.crt')));
  }
});
