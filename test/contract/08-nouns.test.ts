import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CliProcess } from '../integration/cli/cli-process.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/** A program in docker's place is enough: these are about the controller's own knowledge. */
let fleet: StubFleet;
let runs: string[];

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2');
  await fleet.untilKnown('prod-1:sexy', 'prod-2:sexy');
  await fleet.must('prod-1:sexy', 'ps');
  await fleet.writeStack('prod-1', 'bad', { 'action.sh': 'exit 3\n' });
  await fleet.kompose('bad', 'up', '-d');
  runs = (await fleet.objects('runs')).map(({ run }) => String(run));
});
after(() => fleet.stop());

async function ended(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return fleet.kompose(...words);
}

async function exitCode(...words: string[]): Promise<number> {
  return (await ended(...words)).code;
}

describe('every noun and verb is there', () => {
  for (const words of [
    'hosts',
    'hosts ls',
    'hosts show prod-1',
    'hosts label prod-1 tier=1',
    'stacks',
    'stacks prod-*:sexy',
    'runs',
    'runs ls',
    'audit',
    'audit ls',
    'audit show 1',
    'audit export',
    'audit verify',
    'users',
    'users ls',
    'tokens',
    'tokens ls',
    'roles',
    'roles ls',
    'roles show viewer',
    'whoami',
    'doctor',
    'completion bash',
    'completion zsh',
    'completion fish',
  ]) {
    test(words, async () => {
      const { code, stdout, stderr } = await ended(...words.split(' '));
      assert.equal(code, words === 'doctor' ? code : 0, stderr);
      assert.notEqual(stdout + stderr, '');
    });
  }

  test('runs show, attach, cancel, retry', async () => {
    const [failed = '', succeeded = ''] = runs;
    assert.equal(await exitCode('runs', 'show', succeeded), 0);
    assert.equal(await exitCode('runs', 'attach', failed), 1);
    assert.equal(await exitCode('runs', 'cancel', failed), 0);
    const again = await fleet.objects('runs', 'retry', failed);
    assert.equal(again.at(-1)?.['exitCode'], 1);
  });

  test('users add and remove, tokens create and revoke, login and logout', async () => {
    const token = (await fleet.must('users', 'add', 'bob', '--role', 'viewer')).trim();
    assert.equal((await fleet.run('bob', ['login', token])).code, 0);
    assert.equal((await fleet.run('bob', ['whoami'])).code, 0);
    assert.equal((await fleet.run('bob', ['logout'])).code, 0);
    assert.equal((await fleet.run('bob', ['whoami'])).code, 5);
    assert.equal(await exitCode('users', 'remove', 'bob'), 0);
    const open = (await fleet.must('tokens', 'create', '--role', 'viewer')).trim();
    const [row] = await fleet.objects('tokens');
    assert.equal(await exitCode('tokens', 'revoke', String(row?.['id'])), 0);
    assert.equal((await fleet.run('carl', ['login', open])).code, 5);
  });

  test('hosts remove takes the host away at once', async () => {
    const token = (await fleet.must('tokens', 'create', '--role', 'agent')).trim();
    const words = ['agent', 'join', token, '--name', 'old-1', '--stacks', fleet.stacks('prod-1')];
    assert.equal((await fleet.run('old-1', words)).code, 0);
    const agent = fleet.spawn('old-1', ['agent', 'serve']);
    await agent.shows('stdout', 'connected to');
    assert.equal(await exitCode('hosts', 'remove', 'old-1'), 0);
    assert.equal(await agent.ended, 5);
    assert.equal(await exitCode('hosts', 'show', 'old-1'), 3);
  });
});

describe('what there is not', () => {
  for (const [words, code] of [
    ['hosts show nowhere', 3],
    ['hosts remove nowhere', 3],
    ['runs show 01ZZZZZZZZ', 3],
    ['audit show 99999', 3],
    ['users remove nobody', 3],
    ['tokens revoke 0000000000', 3],
    ['roles show none', 3],
    ['hosts list', 2],
    ['runs show', 2],
    ['users add x', 2],
    ['completion tcsh', 2],
  ] as const) {
    test(`${words} ends with ${code}`, async () => assert.equal(await exitCode(...words.split(' ')), code));
  }
});

describe('controller', () => {
  test('kompose controller init --address HOST:PORT: the first admin’s token, alone; a second one is refused', async () => {
    const first = await fleet.run('second', [
      'controller',
      'init',
      '--address',
      'a.example:7443',
      '--address',
      '[::1]:7443',
    ]);
    assert.equal(first.code, 0);
    assert.match(first.stdout, /^kmp1\.\S+\n$/);
    const again = await fleet.run('second', ['controller', 'init', '--address', 'a.example:7443']);
    assert.deepEqual([again.code, again.stdout], [1, '']);
    assert.equal((await fleet.run('third', ['controller', 'init'])).code, 2);
    assert.equal((await fleet.run('third', ['controller', 'init', '--address', 'nowhere'])).code, 2);
  });

  test('kompose controller serve [--listen ADDR:PORT]: one line once it serves; SIGTERM ends it with 0', async () => {
    const serving = fleet.spawn('second', ['controller', 'serve', '--listen', '127.0.0.1:0']);
    await serving.shows('stdout', '\n');
    serving.kill('SIGTERM');
    assert.equal(await serving.ended, 0);
    assert.match(serving.stdout, /^listening on 127\.0\.0\.1:\d+\n$/);
  });
});

describe('kompose login TOKEN', () => {
  test('refuses an unprotected folder, and the token stays good', async () => {
    const token = (await fleet.must('tokens', 'create', '--role', 'viewer')).trim();
    const open = join(fleet.home('dora'), 'user');
    await mkdir(open, { recursive: true });
    await chmod(open, 0o755);
    const { code, stderr } = await fleet.run('dora', ['login', token]);
    assert.deepEqual([code, stderr.includes(`chmod 700 ${open}`)], [1, true]);
    await chmod(open, 0o700);
    assert.equal((await fleet.run('dora', ['login', token])).code, 0);
  });
});

describe('kompose tokens create --role ROLE [--label K=V]... [--ttl DURATION] [--uses N]', () => {
  test('--role: prints the token, alone; what there is no role for is 2', async () => {
    for (const role of ['agent', 'admin', 'operator', 'viewer'])
      assert.match(await fleet.must('tokens', 'create', '--role', role), /^kmp1\.\S+\n$/);
    assert.equal(await exitCode('tokens', 'create', '--role', 'king'), 2);
    assert.equal(await exitCode('tokens', 'create'), 2);
  });

  test('unnamed, the user is ROLE-letters; --name is the name, and a taken one is refused', async () => {
    const login = async (home: string, ...words: string[]): Promise<unknown> => {
      const token = (await fleet.must('tokens', 'create', '--role', 'viewer', ...words)).trim();
      await fleet.run(home, ['login', token]);
      return JSON.parse((await fleet.run(home, ['-o', 'json', 'whoami'])).stdout).name;
    };
    assert.match(String(await login('unnamed')), /^viewer-[a-z]{6}$/);
    assert.equal(await login('named', '--name', 'eve'), 'eve');
    assert.equal(await exitCode('tokens', 'create', '--role', 'viewer', '--name', 'eve'), 1);
    assert.equal(await exitCode('users', 'add', 'eve', '--role', 'viewer'), 1);
  });

  test('--label: bound to it and stronger than those of join', async () => {
    const words = ['--role', 'agent', '--label', 'env=prod', '--label', 'tier=1'];
    const token = (await fleet.must('tokens', 'create', ...words)).trim();
    const own = ['--label', 'env=test', '--label', 'rack=7'];
    const stacks = ['--name', 'lab-1', '--stacks', fleet.stacks('prod-1')];
    assert.equal((await fleet.run('lab-1', ['agent', 'join', token, ...stacks, ...own])).code, 0);
    const [host] = await fleet.objects('hosts', 'show', 'lab-1');
    assert.deepEqual(host?.['labels'], { env: 'prod', tier: '1', rack: '7' });
    await fleet.must('hosts', 'remove', 'lab-1');
  });

  test('--uses, --ttl: how often and how long', async () => {
    const twice = (await fleet.must('tokens', 'create', '--role', 'viewer', '--uses', '2')).trim();
    const codes = [];
    for (const home of ['u1', 'u2', 'u3']) codes.push((await fleet.run(home, ['login', twice])).code);
    assert.deepEqual(codes, [0, 0, 5]);
    const brief = (await fleet.must('tokens', 'create', '--role', 'viewer', '--ttl', '1ms')).trim();
    assert.equal((await fleet.run('u4', ['login', brief])).code, 5);
  });
});

test('kompose whoami: name, role, controller, expiry', async () => {
  const { stdout } = await ended('whoami');
  for (const line of [/^name +admin$/m, /^role +admin$/m, /^controller +127/m, /^expires +20/m])
    assert.match(stdout, line);
  const [me] = await fleet.objects('whoami');
  assert.deepEqual([me?.['name'], me?.['role'], me?.['controller']], ['admin', 'admin', fleet.address]);
});

describe('kompose agent join TOKEN --name NAME [--label K=V]... --stacks DIR', () => {
  test('checks the stacks root, and the token stays good', async () => {
    const token = (await fleet.must('tokens', 'create', '--role', 'agent')).trim();
    const joins = (stacks: string) =>
      fleet.run('new-1', ['agent', 'join', token, '--name', 'new-1', '--stacks', stacks]);
    assert.equal((await joins('/no/such/folder')).code, 2);
    assert.equal((await joins(fleet.stacks('prod-1'))).code, 0);
    await fleet.must('hosts', 'remove', 'new-1');
  });
});

test('state lives under KOMPOSE_HOME, in controller, agent and user, closed to others', async () => {
  for (const [home, folder] of [
    ['controller', 'controller'],
    ['prod-1', 'agent'],
    ['admin', 'user'],
  ] as const) {
    assert.deepEqual(await readdir(fleet.home(home)), [folder]);
    assert.equal((await stat(join(fleet.home(home), folder))).mode & 0o777, 0o700);
  }
});

test('every key of the three programs is 0600 in folders of 0700', async () => {
  const keys: string[] = [];
  for (const home of ['controller', 'prod-1', 'admin']) {
    for (const entry of await readdir(fleet.home(home), { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      const mode = (await stat(path)).mode & 0o777;
      if (entry.isDirectory()) assert.equal(mode, 0o700, path);
      if (!/\.key$|key.*\.pem$/.test(entry.name)) continue;
      assert.equal(mode, 0o600, path);
      keys.push(entry.name);
    }
  }
  for (const name of ['ca.key', 'audit.key', 'agent.key', 'client.key']) assert.ok(keys.includes(name), name);
});

test('a program whose key others may read says so and does not work with it', async () => {
  for (const [home, key, ...words] of [
    ['controller', 'controller/ca.key', 'controller', 'ca'],
    ['prod-1', 'agent/agent.key', 'agent', 'serve'],
    ['admin', 'user/contexts/default/client.key', 'whoami'],
  ] as const) {
    const path = join(fleet.home(home), key);
    await chmod(path, 0o644);
    const { code, stderr } = await fleet.run(home, words);
    await chmod(path, 0o600);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /is open to others: run chmod go= /);
  }
});

test('without KOMPOSE_HOME state lives where the user is', async () => {
  const elsewhere =
    process.getuid?.() === 0 ? '/var/lib/kompose' : join(fleet.folder, '.local/state/kompose');
  const env = { KOMPOSE_HOME: '', HOME: fleet.folder };
  const cli = new CliProcess('', ['agent', 'serve'], env);
  assert.equal(await cli.ended, 1);
  assert.ok(cli.stderr.includes(join(elsewhere, 'agent/config.json')), cli.stderr);
});

describe('every listing', () => {
  const fields = {
    hosts: ['name', 'labels', 'online', 'lastSeen'],
    stacks: ['host', 'stack', 'composeFile', 'hooks', 'env', 'dumps', 'services'],
    runs: ['run', 'state'],
    users: ['name', 'role'],
    tokens: ['role', 'name', 'labels'],
    roles: ['name'],
    audit: ['seq', 'type'],
  };
  before(() => fleet.must('tokens', 'create', '--role', 'agent', '--uses', '2', '--ttl', '1h'));
  before(() => fleet.must('tokens', 'create', '--role', 'viewer'));

  for (const [noun, names] of Object.entries(fields)) {
    test(`${noun} takes -o json with the names of the contract, and --limit`, async () => {
      const rows = await fleet.objects(noun);
      assert.ok(rows.length >= 2, JSON.stringify(rows));
      for (const row of rows) for (const name of names) assert.ok(name in row, `${noun}: ${name}`);
      const limited = await fleet.objects(noun, '--limit', '1');
      assert.equal(limited.length, 1);
      assert.equal(await exitCode(noun, '--limit', '0'), 2);
      const { stdout } = await ended(noun, '-o', 'json', '--limit', '1');
      assert.match(stdout, /^\{.*\}\n$/);
      assert.equal(stdout, `${JSON.stringify(JSON.parse(stdout))}\n`);
    });
  }

  test('objects of runs show carry state', async () => {
    const shown = await fleet.objects('runs', 'show', runs[0] ?? '');
    assert.ok(shown.length > 0);
    for (const row of shown) assert.equal(typeof row['state'], 'string', JSON.stringify(row));
  });
});
