import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { endFleet, idleService, startFleet } from '../e2e/support.ts';
import { kompose as program } from '../fleet/release.ts';
let fleet: KomposeFleet;

before(async () => {
  fleet = await startFleet(['prod-1', 'prod-2']);
  for (const host of ['prod-1', 'prod-2']) {
    await fleet.writeStack(host, 'app', { 'compose.yaml': idleService });
    const { exitCode, stderr } = await fleet.kompose([`${host}:app`, 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
  }
});

after(() => endFleet(fleet));

/** kompose on prod-1 with these bytes as its stdin; stdout as bytes. */
function pipe(args: readonly string[], input: Uint8Array) {
  return execa(process.execPath, [program, '-H', 'prod-1', 'app', ...args], {
    env: { KOMPOSE_HOME: fleet.home },
    input,
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
    reject: false,
    timeout: 60_000,
  });
}

test('gives the client its stdin byte for byte to exec on one target', async () => {
  const bytes = randomBytes(5_000_000);
  const { stdout, exitCode } = await pipe(['exec', '-T', 'api', 'sha256sum'], bytes);
  assert.equal(exitCode, 0);
  assert.equal(Buffer.from(stdout).toString().slice(0, 64), createHash('sha256').update(bytes).digest('hex'));
});

test('passes bytes through a command both ways at once', async () => {
  const bytes = randomBytes(5_000_000);
  const { stdout } = await pipe(['exec', '-T', 'api', 'cat'], bytes);
  assert.equal(Buffer.compare(bytes, stdout), 0);
});

test('gives run its stdin too', async () => {
  const { stdout, exitCode } = await pipe(['run', '--rm', '-T', 'api', 'wc', '-c'], Buffer.from('12345'));
  assert.equal(exitCode, 0);
  assert.equal(Buffer.from(stdout).toString().trim(), '5');
});

test('ends with the action while stdin is still open', async () => {
  const client = execa(
    process.execPath,
    [program, '-H', 'prod-1', 'app', 'exec', '-T', 'api', 'head', '-n', '1'],
    {
      env: { KOMPOSE_HOME: fleet.home },
      stdin: 'pipe',
      reject: false,
      timeout: 30_000,
    },
  );
  client.stdin.write('first\nsecond\n');
  const { stdout, exitCode, timedOut } = await client;
  assert.deepEqual({ stdout, exitCode, timedOut }, { stdout: 'first', exitCode: 0, timedOut: false });
});

test('gives no stdin to other commands, to hooks, nor to several targets', async () => {
  await fleet.writeStack('prod-1', 'app', { 'hooks.sh': 'hook_pre_exec() { wc -c; }\n' });
  const one = await pipe(['exec', '-T', 'api', 'cat'], Buffer.from('input'));
  assert.equal(Buffer.from(one.stdout).toString(), 'input');
  assert.match(Buffer.from(one.stderr).toString(), /^\s*0$/m);
  const several = await fleet.kompose(['app', 'exec', '-T', 'api', 'wc', '-c'], { input: 'input' });
  assert.equal(several.exitCode, 0, several.stderr);
  assert.deepEqual(several.stdout.match(/\| +0$/gm)?.length, 2);
});

test('ends the command when its client is killed in the middle of stdin', async () => {
  const args = [program, '-H', 'prod-2', 'app', 'exec', '-T', 'api', 'cat'];
  const client = execa(process.execPath, args, {
    env: { KOMPOSE_HOME: fleet.home },
    stdin: 'pipe',
    reject: false,
    buffer: false,
  });
  client.stdin.write('begin\n');
  for await (const chunk of client.stdout) if (String(chunk).includes('begin')) break;
  client.kill('SIGKILL');
  await client;
  for (;;) {
    const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '1']);
    const { state } = JSON.parse(stdout) as { state: string };
    if (state !== 'running') return assert.equal(state, 'cancelled');
  }
});

test('leaves no lock behind', async () => {
  assert.deepEqual(await readdir(join(fleet.stacks('prod-1'), '.kompose', 'locks', 'app')), []);
});
