import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { kompose as program } from '../fleet/release.ts';
import { endFleet, jsonLines, startFleet, until, writeStacks } from '../e2e/support.ts';

const keptBytes = 1024 * 1024;
const fleet = await startFleet(['prod-1'], { controllerEnv: { KOMPOSE_KEPT_OUTPUT: '1MiB' } });
after(() => endFleet(fleet));

const withData = `
services:
  api:
    image: busybox:local
    network_mode: none
    volumes: ["./data:/data"]
`;
const megabyte = 1024 * 1024;
const data = join(fleet.stacks('prod-1'), 'app/data');
const random = randomBytes(12 * megabyte);

before(async () => {
  await writeStacks(fleet, { 'prod-1:app': { 'compose.yaml': withData } });
  await mkdir(data);
  await writeFile(join(data, 'random'), random);
  const { exitCode, stderr } = await fleet.kompose(['app', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
});

/** kompose whose stdout and stderr nobody reads before we do. */
function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { KOMPOSE_HOME: fleet.home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, ended: once(child, 'close') };
}

async function digest(stream: Readable): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest('hex') };
}

/** Writes so many megabytes and says in a file how far it is. */
function writer(count: number, file: string): string {
  return `i=0; while [ $i -lt ${count} ]; do head -c ${megabyte} /dev/zero; i=$((i+1)); echo $i >/data/${file}; done`;
}

async function progress(file: string): Promise<number> {
  return Number(await readFile(join(data, file), 'utf8').catch(() => '0'));
}

/** How far it is when it has not moved for a second. */
async function standstill(file: string): Promise<number> {
  let at = 0;
  let sinceMs = Date.now();
  await until(`${file} stands still`, async () => {
    const now = await progress(file);
    if (now !== at) [at, sinceMs] = [now, Date.now()];
    return at > 0 && Date.now() - sinceMs > 1000;
  });
  return at;
}

/** Bytes of all files under a folder of the fleet's. */
async function diskUse(folder: string): Promise<number> {
  const files = globSync('**/*', { cwd: join(fleet.folder, folder) });
  const sizes = await Promise.all(
    files.map(
      async (file) => (await stat(join(fleet.folder, folder, file)).catch(() => undefined))?.size ?? 0,
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function lastRun(): Promise<{ id: string; state: string }> {
  const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '1']);
  const { run, state } = JSON.parse(stdout) as { run: string; state: string };
  return { id: run, state };
}

describe('kept output', { timeout: 120_000 }, () => {
  test('is bounded, while all bytes reach who reads them; the middle is dropped with a line that says so', async () => {
    const usedBefore = await diskUse('controller');
    const client = start('app', 'exec', '-T', 'api', 'cat', '/data/random');
    assert.deepEqual(await digest(client.child.stdout), {
      size: random.length,
      sha256: createHash('sha256').update(random).digest('hex'),
    });
    client.child.stderr.resume();
    assert.deepEqual(await client.ended, [0, null]);
    const growth = (await diskUse('controller')) - usedBefore;
    assert.ok(growth < 2 * keptBytes, `${growth} bytes`);
    const { id } = await lastRun();
    const attached = execa(process.execPath, [program, 'runs', 'attach', id], {
      env: { KOMPOSE_HOME: fleet.home },
      encoding: 'buffer',
    });
    const { stdout, stderr } = await attached;
    const [, missing = '0'] =
      /(\d+) bytes of stdout are missing here/.exec(Buffer.from(stderr).toString()) ?? [];
    const shown = Buffer.from(stdout);
    assert.equal(shown.length + Number(missing), random.length);
    assert.ok(shown.length > keptBytes / 2 && shown.length <= keptBytes, `${shown.length} bytes`);
    const end = shown.length - 100_000;
    assert.equal(Buffer.compare(shown.subarray(0, 100_000), random.subarray(0, 100_000)), 0);
    assert.equal(Buffer.compare(shown.subarray(end), random.subarray(random.length - 100_000)), 0);
    const json = await fleet.kompose(['-o', 'json', 'runs', 'attach', id]);
    const notices = jsonLines(json.stdout).filter(({ type }) => type === 'notice');
    assert.deepEqual(
      notices.map((notice) => ({ ...notice })['missing' as 'text']),
      [{ stdout: Number(missing), stderr: 0 }],
    );
  });

  test('of config is none: attach says so', async () => {
    const { stdout } = await fleet.kompose(['app', 'config']);
    assert.match(stdout, /busybox:local/);
    const { id } = await lastRun();
    const attached = await fleet.kompose(['runs', 'attach', id]);
    assert.equal(attached.stdout, '');
    const text = `${Buffer.byteLength(stdout)} bytes of stdout are missing here: the output of config is not kept`;
    assert.ok(attached.stderr.includes(text), attached.stderr);
  });
});

describe('the pace of a watcher', { timeout: 120_000 }, () => {
  test('holds exec on one target, and nothing else', async () => {
    const client = start('app', 'exec', '-T', 'api', 'sh', '-c', writer(64, 'held'));
    const at = await standstill('held');
    assert.ok(at < 40, `${at} MB`);
    const { exitCode, stdout } = await fleet.kompose(['app', 'ps', '-q']);
    assert.equal(exitCode, 0);
    assert.notEqual(stdout, '');
    assert.ok((await diskUse('agent-prod-1')) < 4 * keptBytes);
    client.child.stderr.resume();
    assert.equal((await digest(client.child.stdout)).size, 64 * megabyte);
    assert.deepEqual(await client.ended, [0, null]);
  });

  test('holds nobody when the client is gone: exec goes on to its end', async () => {
    const client = start('app', 'exec', '-T', 'api', 'sh', '-c', writer(64, 'left'));
    assert.ok((await standstill('left')) < 40);
    client.child.kill('SIGKILL');
    client.child.stdout.resume();
    client.child.stderr.resume();
    await client.ended;
    await until('it has ended', async () => (await lastRun()).state === 'succeeded', 30_000);
    assert.equal(await progress('left'), 64);
  });

  test('holds nobody when the client is away for long; what it missed is told, and no 0', async () => {
    const client = start('-q', 'app', 'exec', '-T', 'api', 'sh', '-c', writer(64, 'away'));
    assert.ok((await standstill('away')) < 40);
    client.child.kill('SIGSTOP');
    await fleet.kill('controller');
    await fleet.startController();
    await until('it has gone on', async () => (await progress('away')) === 64, 60_000);
    await until('it has ended', async () => (await lastRun()).state === 'succeeded', 30_000);
    client.child.kill('SIGCONT');
    const [{ size }, stderr] = await Promise.all([digest(client.child.stdout), textOf(client.child.stderr)]);
    const [, missing = '0'] =
      /the command succeeded, but (\d+) bytes of stdout are missing/.exec(stderr) ?? [];
    assert.equal(size + Number(missing), 64 * megabyte);
    assert.ok(Number(missing) > 0, stderr);
    assert.deepEqual(await client.ended, [1, null]);
  });

  test('holds no command that changes something', async () => {
    const hook = `hook_pre_restart() { head -c ${32 * megabyte} /dev/zero; }\n`;
    await writeStacks(fleet, { 'prod-1:app': { 'compose.yaml': withData, 'hooks.sh': hook } });
    const client = start('app', 'restart', '-t', '0');
    await until('it has ended', async () => (await lastRun()).state === 'succeeded', 30_000);
    const { size } = await digest(client.child.stderr);
    assert.ok(size > keptBytes / 2, `${size} bytes`);
    client.child.stdout.resume();
    assert.deepEqual(await client.ended, [0, null]);
  });
});
