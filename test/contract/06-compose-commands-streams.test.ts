import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  containers,
  dockerLines,
  endFleet,
  idleService,
  jsonLines,
  processesOf,
  shows,
  startFleet,
  until,
  untilKnown,
  writeStacks,
} from '../e2e/support.ts';

const hosts = ['prod-1', 'prod-2', 'staging-1'];
const fleet = await startFleet(hosts);
after(() => endFleet(fleet));

const withData = `
services:
  api:
    image: busybox:local
    network_mode: none
    volumes: ["./data:/data:ro"]
`;
const stacks = {
  'prod-1:data': {
    'compose.yaml': withData,
    'hooks.sh':
      'hook_pre_exec() { echo from a hook; echo and its stderr >&2; }\nhook_post_exec() { echo after; }\n',
  },
  'prod-1:noisy': {},
  'prod-2:noisy': {},
  'staging-1:noisy': {},
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);
await mkdir(join(fleet.stacks('prod-1'), 'data/data'));
assert.equal((await fleet.kompose(['*', 'up', '-d'])).exitCode, 0);

/** A hook that says `begun` and goes on when the file `go` is there. */
const gate = 'echo begun; until [[ -e go ]]; do sleep 0.02; done; echo gone on';

function open(host: string, stack: string): Promise<void> {
  return writeFile(join(fleet.stacks(host), stack, 'go'), '');
}

describe('the output of one target', { timeout: 60_000 }, () => {
  it('arrives unchanged on stdout, byte for byte', async () => {
    const bytes = randomBytes(3 * 1024 * 1024);
    await writeFile(join(fleet.stacks('prod-1'), 'data/data/random'), bytes);
    const program = fleet.spawnKompose(['data', 'exec', '-T', 'api', 'cat', '/data/random']);
    const hash = createHash('sha256');
    let size = 0;
    program.stdout.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      size += chunk.length;
    });
    assert.equal((await program).exitCode, 0);
    assert.equal(size, bytes.length);
    assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
  });

  it("keeps stderr apart, and the hooks' output and kompose's own lines off stdout", async () => {
    const script = 'printf out; printf err >&2; printf " more"';
    const { stdout, stderr } = await fleet.kompose(['data', 'exec', '-T', 'api', 'sh', '-c', script]);
    assert.equal(stdout, 'out more');
    const lines = stderr.split('\n');
    for (const line of ['from a hook', 'and its stderr', 'err', 'after'])
      assert(lines.includes(line), stderr);
    assert.match(stderr, /^prod-1:data succeeded in /m);
  });

  it("is all that -q leaves, and kompose's own lines are gone", async () => {
    const words = ['-q', 'data', 'exec', '-T', 'api', 'echo', 'out'];
    assert.deepEqual(await fleet.kompose(words), {
      exitCode: 0,
      stdout: 'out\n',
      stderr: 'from a hook\nand its stderr\nafter\n',
    });
  });
});

describe('the output of several targets', { timeout: 60_000 }, () => {
  it('is prefixed line by line, and no line is torn or lost', async () => {
    const count = 4000;
    const print = `BEGIN { for (i = 1; i <= ${count}; i++) { s = ""; for (j = i % 80; j > 0; j--) s = s "…wide"; printf "line %d %s end\\n", i, s } printf "no newline" }`;
    const { exitCode, stdout } = await fleet.kompose(['noisy', 'exec', '-T', 'api', 'awk', print]);
    assert.equal(exitCode, 0);
    const expected = Array.from(
      { length: count },
      (_, at) => `line ${at + 1} ${'…wide'.repeat((at + 1) % 80)} end`,
    );
    const lines = stdout.split('\n');
    for (const prefix of ['prod-1:noisy    | ', 'prod-2:noisy    | ', 'staging-1:noisy | ']) {
      const own = lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
      assert.deepEqual(own, [...expected, 'no newline']);
    }
    assert.equal(lines.length, 3 * (count + 1) + 1);
    assert.equal(lines.at(-1), '');
  });

  it("is all that -q leaves, and the report's lines are gone", async () => {
    const { stdout, stderr } = await fleet.kompose([
      '-q',
      'noisy',
      'exec',
      '-T',
      'api',
      'sh',
      '-c',
      'echo o; echo e >&2',
    ]);
    assert.equal(
      stdout.split('\n').toSorted().join('\n'),
      '\nprod-1:noisy    | o\nprod-2:noisy    | o\nstaging-1:noisy | o',
    );
    assert.equal(
      stderr.split('\n').toSorted().join('\n'),
      '\nprod-1:noisy    | e\nprod-2:noisy    | e\nstaging-1:noisy | e',
    );
  });
});

describe('a run that nobody waits for', { concurrency: 4, timeout: 60_000 }, () => {
  it('is attached to from its start, with its streams apart and its exit code', async () => {
    await writeStacks(fleet, {
      'prod-1:detached': { 'hooks.sh': `hook_pre_run() { ${gate}; }\nhook_post_run() { return 4; }\n` },
    });
    const words = ['--detach', 'detached', 'run', '--rm', '-T', 'api', 'echo', 'from the action'];
    const { stdout: id, stderr, exitCode } = await fleet.kompose(words);
    assert.equal(exitCode, 0);
    assert.equal(stderr, '');
    assert.match(id, /^[0-9A-Z]{26}\n$/);

    const attached = fleet.spawnKompose(['runs', 'attach', id.trim()]);
    await shows(attached, 'stderr', 'begun\n');
    await open('prod-1', 'detached');
    const live = await attached;
    const later = await fleet.kompose(['runs', 'attach', id.trim()]);
    for (const seen of [live, later]) {
      assert.equal(seen.exitCode, 1);
      assert.equal(seen.stdout, 'from the action\n');
      assert.match(seen.stderr, /^begun\ngone on\n/m);
    }
  });

  it('goes on to its end when its client is killed', async () => {
    await writeStacks(fleet, { 'prod-1:orphan': { 'hooks.sh': `hook_pre_up() { ${gate}; }\n` } });
    const client = fleet.spawnKompose(['-o', 'json', 'orphan', 'up', '-d']);
    const [started] = jsonLines((await shows(client, 'stdout', 'begun')).split('\n', 1).join(''));
    client.kill('SIGKILL');
    await client;
    await open('prod-1', 'orphan');
    const { exitCode } = await fleet.kompose(['runs', 'attach', started?.run ?? '']);
    assert.equal(exitCode, 0);
    assert((await containers(fleet, 'prod-1')).includes('orphan-api-1'));
  });

  it('ends on the host when it only reads and its client is gone', async () => {
    await writeStacks(fleet, {
      'prod-2:talker': {
        'compose.yaml':
          'services:\n  api:\n    image: busybox:local\n    network_mode: none\n    command: sh -c "while :; do echo talk; sleep 0.2; done"\n',
      },
    });
    await fleet.kompose(['talker', 'up', '-d']);
    const client = fleet.spawnKompose(['talker', 'logs', '-f']);
    await shows(client, 'stdout', 'talk');
    assert.notDeepEqual(await processesOf(fleet, 'prod-2', 'talker'), []);
    client.kill('SIGKILL');
    await client;
    await until(
      'logs -f has ended',
      async () => (await processesOf(fleet, 'prod-2', 'talker')).length === 0,
      8000,
    );
  });
});

describe('a run that is ended early', { concurrency: 4, timeout: 60_000 }, () => {
  const children = `
hook_pre_up() {
  sleep 1000 &
  ( trap '' HUP; sleep 1001 & sleep 1002 ) &
  bash -c 'sleep 1003 & wait' &
  echo begun
  wait
}`;

  it('by Ctrl-C leaves no process of its hook on any host, and exits with 130', async () => {
    const both = { 'prod-1:stopped': { 'hooks.sh': children }, 'prod-2:stopped': { 'hooks.sh': children } };
    await writeStacks(fleet, both);
    await untilKnown(fleet, both);
    const client = fleet.spawnKompose(['stopped', 'up', '-d']);
    await Promise.all([
      shows(client, 'stderr', 'prod-1:stopped | begun'),
      shows(client, 'stderr', 'prod-2:stopped | begun'),
    ]);
    client.kill('SIGINT');
    const { exitCode, stderr } = await client;
    assert.equal(exitCode, 130);
    assert.match(stderr, /^2 targets: 2 cancelled in .*; exit code 130$/m);
    for (const host of ['prod-1', 'prod-2']) assert.deepEqual(await processesOf(fleet, host, 'stopped'), []);
  });

  it('by Ctrl-C leaves no process of logs -f on any host, of ten targets at once', async () => {
    const compose = `${idleService.trimEnd()}\n    command: sh -c "while :; do echo talk; sleep 0.5; done"\n`;
    const targets = Array.from(
      { length: 10 },
      (_, at) => [hosts[at % hosts.length] ?? '', `logger-${at}`] as const,
    );
    const loggers = Object.fromEntries(
      targets.map(([host, stack]) => [`${host}:${stack}`, { 'compose.yaml': compose }]),
    );
    await writeStacks(fleet, loggers);
    await untilKnown(fleet, loggers);
    const up = await fleet.kompose(['logger-*', 'up', '-d']);
    assert.equal(up.exitCode, 0, up.stderr);
    const running = () => Promise.all(targets.map(([host, stack]) => processesOf(fleet, host, stack)));
    const client = fleet.spawnKompose(['logger-*', 'logs', '-f']);
    const width = Math.max(...Object.keys(loggers).map((target) => target.length));
    await Promise.all(
      Object.keys(loggers).map((target) => shows(client, 'stdout', `${target.padEnd(width)} | `)),
    );
    for (const pids of await running()) assert.notDeepEqual(pids, []);
    client.kill('SIGINT');
    const { exitCode, stderr } = await client;
    assert.equal(exitCode, 130);
    assert.match(stderr, /^10 targets: 10 cancelled in .*; exit code 130$/m);
    assert.deepEqual((await running()).flat(), []);
  });

  it('by Ctrl-C before some of its tasks began ends those too', async () => {
    const queue = {
      'prod-1:queue-1': { 'hooks.sh': children },
      'prod-1:queue-2': { 'hooks.sh': 'hook_pre_up() { touch began; }' },
    };
    await writeStacks(fleet, queue);
    await untilKnown(fleet, queue);
    const client = fleet.spawnKompose(['queue-*', 'up', '-d']);
    await shows(client, 'stderr', 'begun');
    client.kill('SIGINT');
    const { exitCode, stderr } = await client;
    assert.equal(exitCode, 130);
    assert.match(stderr, /^2 targets: 2 cancelled in /m);
    assert.equal(existsSync(join(fleet.stacks('prod-1'), 'queue-2/began')), false);
  });

  const talker = idleService.trimEnd() + '\n    command: sh -c "echo talk; exec tail -f /dev/null"\n';
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGKILL', 128],
  ] as const) {
    it(`stops the containers of an attached up, as at its own Ctrl-C, when its client gets ${signal}`, async () => {
      const stack = `attached-${signal.toLowerCase()}`;
      await writeStacks(fleet, { [`prod-1:${stack}`]: { 'compose.yaml': talker } });
      const client = fleet.spawnKompose([stack, 'up']);
      await shows(client, 'stdout', 'talk');
      client.kill(signal);
      assert.equal((await client).exitCode ?? 128, exitCode);
      await until('up has ended', async () => (await processesOf(fleet, 'prod-1', stack)).length === 0);
      const shown = ['--filter', `name=${stack}`, '--format', '{{.State}}'];
      assert.deepEqual(await dockerLines(fleet, 'prod-1', 'ps', '--all', ...shown), ['exited']);
    });
  }
});
