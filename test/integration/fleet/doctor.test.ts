import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Gauges } from '../../../common/gauges.ts';
import { runCli } from '../cli/cli-process.ts';
import { StubFleet } from './stub-fleet.ts';

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2');
});

after(() => fleet.stop());

/** `check` to `status`, of a doctor that printed JSON. */
function statuses(stdout: string): Record<string, string> {
  const findings = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { check: string; status: string; text: string; remedy: string });
  for (const { status, text, remedy } of findings) {
    assert.notEqual(text, '');
    assert.equal(remedy === '', status === 'ok', text);
  }
  return Object.fromEntries(findings.map(({ check, status }) => [check, status]));
}

const healthy = {
  engine: 'ok',
  compose: 'ok',
  membership: 'ok',
  policy: 'ok',
  roster: 'ok',
  'stacks root': 'ok',
  stacks: 'ok',
  hooks: 'ok',
  certificate: 'ok',
  controller: 'ok',
  clock: 'ok',
  link: 'ok',
};

test('finds a host well, with one line for each thing looked at', async () => {
  await fleet.writeStack('prod-1', 'sexy', { 'hooks.sh': 'hook_pre_up() { :; }\n' });
  const { code, stdout, stderr } = await fleet.run('prod-1', ['agent', 'doctor', '-o', 'json']);
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(statuses(stdout), healthy);
  const early = await fleet.run('prod-1', ['-o', 'json', 'agent', 'doctor']);
  assert.deepEqual(statuses(early.stdout), healthy);
  const text = (await fleet.run('prod-1', ['agent', 'doctor'])).stdout;
  assert.match(text, /^ok {4}engine +version 28\.1\.0\nok {4}compose +docker compose, version 2\.40\.0\n/);
  assert.match(text, /\nok {4}hooks +1 hooks\.sh are well\n/);
});

test('leaves the linked agent alone', async () => {
  await fleet.run('prod-1', ['agent', 'doctor']);
  const [host] = await fleet.objects('hosts', 'show', 'prod-1');
  assert.equal(host?.['online'], true);
});

/** What `doctor` says of the programs by themselves, by host; the controller's is empty. */
async function gaugesOf(...args: string[]): Promise<Map<string, Gauges>> {
  const objects = await fleet.objects('doctor', ...args);
  const told = objects.filter((each) => 'gauges' in each) as { host: string; gauges: Gauges }[];
  return new Map(told.map(({ host, gauges }) => [host, gauges]));
}

test('shows an admin what the controller takes and has under way, and the hosts that are named', async () => {
  const resident = async (pid: number): Promise<number> => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) * 1024;
  };
  const alone = await gaugesOf();
  assert.deepEqual([...alone.keys()], ['']);
  const controller = alone.get('');
  assert.ok(controller !== undefined);
  const expected = await resident(fleet.controllerPid);
  assert.ok(Math.abs(controller.residentBytes - expected) < expected / 4, String(controller.residentBytes));
  assert.ok(controller.heapBytes > 0 && controller.heapBytes < controller.residentBytes);
  assert.ok(controller.fileDescriptors > 10 && controller.handles > 0 && controller.uptimeMs > 0);
  assert.equal(controller.links, 2);
  assert.equal(controller.runs, 0);

  const { stdout } = await fleet.kompose('doctor', '-H', 'prod-*');
  assert.match(stdout, /\n\nPROGRAM +UP +MEMORY .*\ncontroller +.* MB .*\nprod-1 +.* MB .*\nprod-2 +.*\n$/);
  assert.deepEqual([...(await gaugesOf('--host', 'prod-2')).keys()], ['', 'prod-2']);
});

test('counts what is under way on the controller and on a host', async () => {
  const gate = join(fleet.folder, 'gate');
  execFileSync('mkfifo', [gate]);
  await fleet.writeStack('prod-1', 'sexy', {
    'action.sh': `head -c 200000 /dev/zero | tr '\\0' x; echo; echo begun; cat ${gate}\n`,
  });
  const run = fleet.spawn('admin', ['prod-1:sexy', 'up', '-d']);
  await run.shows('stdout', 'begun');
  const during = await gaugesOf('-H', 'prod-1');
  await writeFile(gate, '');
  assert.equal(await run.ended, 0);
  assert.deepEqual(
    ['', 'prod-1'].map((host) => during.get(host)?.runs),
    [1, 1],
  );
  // It has told more than the agent's own link is for.
  const onHost = during.get('prod-1');
  assert.equal(onHost?.streams, 2);
  assert.ok(onHost.spooledBytes > 0);
  await fleet.until('nothing is left of it', async () => {
    const [controller, agent] = [...(await gaugesOf('-H', 'prod-1')).values()];
    if (controller === undefined || agent === undefined) return false;
    const { streams, runs, spooledBytes, queuedRecords } = agent;
    return controller.runs + runs + spooledBytes + queuedRecords === 0 && streams === 1;
  });
});

test('says of hosts that cannot be asked why, and of a filter that matches none', async () => {
  const none = await fleet.kompose('doctor', '-H', 'prod-9');
  assert.equal(none.code, 1);
  assert.match(none.stdout, /^fail {2}gauges +no host matches prod-9/m);
  const bad = await fleet.kompose('doctor', '-H', 'a:b');
  assert.equal(bad.code, 2);
});

test('shows others nothing of that', async () => {
  const token = await fleet.must('tokens', 'create', '--role', 'viewer', '--name', 'vera');
  await fleet.run('vera', ['login', token.trim()]);
  const own = await fleet.run('vera', ['doctor']);
  assert.equal(own.code, 0, own.stdout);
  assert.doesNotMatch(own.stdout, /PROGRAM|gauges/);
  const named = await fleet.run('vera', ['doctor', '-o', 'json', '-H', 'prod-1']);
  assert.equal(statuses(named.stdout)['gauges'], 'warn');
  assert.doesNotMatch(named.stdout, /residentBytes/);
});

test('names what is wrong with hooks and a foreign kompose.sh, each with its remedy', async () => {
  const hooks = {
    broken: 'hook_pre_up() {\n',
    open: 'hook_pre_up() { :; }\n',
    plain: 'hook_pre_up() { :; }\n',
  };
  for (const [stack, text] of Object.entries(hooks))
    await fleet.writeStack('prod-2', stack, { 'hooks.sh': text });
  await chmod(join(fleet.stacks('prod-2'), 'open/hooks.sh'), 0o757);
  await chmod(join(fleet.stacks('prod-2'), 'plain/hooks.sh'), 0o640);
  await writeFile(join(fleet.stacks('prod-2'), 'kompose.sh'), '#!/bin/bash\n');
  const { code, stdout } = await fleet.run('prod-2', ['agent', 'doctor', '-o', 'json']);
  assert.equal(code, 1);
  assert.deepEqual(statuses(stdout), {
    ...healthy,
    'hooks of broken': 'fail',
    'hooks of open': 'fail',
    'hooks of plain': 'warn',
    'kompose.sh': 'warn',
  });
  assert.match(stdout, /syntax error in hooks\.sh: line \d+/);
  assert.match(stdout, /chmod o-w .*open\/hooks\.sh/);
  assert.match(stdout, /chmod 750 .*plain\/hooks\.sh/);
});

test('finds an engine that does not answer and a machine that has not joined', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'kompose-doctor-'));
  t.after(() => rm(home, { recursive: true }));
  const { code, stdout } = await runCli(home, 'agent', 'doctor', '-o', 'json');
  assert.equal(code, 1);
  assert.equal(statuses(stdout)['membership'], 'fail');
  const broken = join(fleet.folder, 'bin/docker');
  await writeFile(broken, '#!/bin/bash\necho "Cannot connect to the Docker daemon" >&2; exit 1\n');
  const host = await fleet.run('prod-1', ['agent', 'doctor', '-o', 'json']);
  assert.equal(host.code, 1);
  assert.deepEqual(statuses(host.stdout), { ...healthy, engine: 'fail', compose: 'fail' });
  assert.match(host.stdout, /Cannot connect to the Docker daemon/);
});

test('gives up on a controller that says nothing, and looks at the next address', async () => {
  const path = join(fleet.home('prod-1'), 'agent/config.json');
  const config = await readFile(path, 'utf8');
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  await writeFile(path, config.replace(`"${fleet.address}"`, `"127.0.0.1:${port}", "${fleet.address}"`));
  const { code, stdout } = await fleet.run('prod-1', ['agent', 'doctor']);
  await writeFile(path, config);
  silent.close();
  assert.equal(code, 1);
  assert.match(
    stdout,
    new RegExp(`^fail {2}controller +.*:${port}.*: see that kompose controller serve runs`, 'm'),
  );
  assert.match(stdout, new RegExp(`^ok {4}controller +${fleet.address} answers`, 'm'));
});

test('finds the fleet well, then a host that is away, then the controller', async () => {
  const well = await fleet.kompose('doctor', '-o', 'json');
  assert.equal(well.code, 0, well.stdout);
  assert.deepEqual(statuses(well.stdout), {
    login: 'ok',
    controller: 'ok',
    'signing key': 'ok',
    audit: 'ok',
    hosts: 'ok',
    gauges: 'ok',
  });

  await fleet.stopAgent('prod-2');
  const named = await fleet.kompose('doctor', '-H', 'prod-2', '-o', 'json');
  assert.equal(statuses(named.stdout)['gauges of prod-2'], 'warn');
  const away = await fleet.kompose('doctor');
  assert.equal(away.code, 1);
  assert.match(
    away.stdout,
    /\nfail {2}host prod-2 +offline, last seen 20.*: on the host: kompose agent doctor\n/,
  );
  const unlinked = await fleet.run('prod-2', ['agent', 'doctor', '-o', 'json']);
  assert.equal(statuses(unlinked.stdout)['link'], 'warn');

  await fleet.stopController();
  const down = await fleet.kompose('doctor', '-o', 'json');
  assert.equal(down.code, 1);
  assert.deepEqual(statuses(down.stdout), { login: 'ok', controller: 'fail' });
  const host = await fleet.run('prod-1', ['agent', 'doctor', '-o', 'json']);
  assert.equal(host.code, 1);
  assert.equal(statuses(host.stdout)['controller'], 'fail');
  assert.match(host.stdout, /connection refused/);
});

test('says of somebody who is not logged in what to do', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'kompose-doctor-'));
  t.after(() => rm(home, { recursive: true }));
  const { code, stdout } = await runCli(home, 'doctor');
  assert.equal(code, 1);
  assert.match(stdout, /^fail {2}login +not logged in/);
});
