import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/** A program in docker's place is enough: what is refused never comes to it. */
let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'test-1');
  for (const host of ['prod-1', 'test-1'])
    for (const stack of ['proxy', 'shop']) await fleet.writeStack(host, stack);
  await fleet.untilKnown('prod-1:proxy', 'prod-1:shop', 'test-1:proxy', 'test-1:shop');
  await fleet.must('hosts', 'label', 'test-1', 'env=test');
  for (const [name, role] of [
    ['vera', 'viewer'],
    ['olga', 'operator'],
  ]) {
    const token = await fleet.must('users', 'add', String(name), '--role', String(role));
    await fleet.run(String(name), ['login', token.trim()]);
  }
});
after(() => fleet.stop());

async function as(
  user: string,
  ...words: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return fleet.run(user, words);
}

/** The run is denied before anything of it starts, for this reason. */
async function denied(user: string, words: readonly string[], reason: RegExp): Promise<void> {
  const { code, stdout } = await as(user, '-o', 'json', ...words);
  const events = stdout.split('\n').filter((line) => line !== '');
  assert.equal(code, 5, `${user}: ${words.join(' ')}`);
  assert.equal(
    events.some((event) => event.includes('"step.started"')),
    false,
  );
  const end = events
    .map((event) => JSON.parse(event) as Record<string, unknown>)
    .find(({ type }) => type === 'task.finished');
  assert.equal(end?.['state'], 'denied');
  assert.match(String(end?.['reason']), reason);
}

describe('roles of one’s own', () => {
  test('set, from options: some targets are denied and the others run, which ends 5', async () => {
    const rules = ['--allow', '*:* @read env=test', '--allow', 'test-*:* up,down', '--deny', '*:proxy *'];
    const made = await fleet.kompose('roles', 'set', 'deployer', ...rules, '--allow-env', 'TAG');
    assert.deepEqual([made.code, made.stderr], [0, 'role deployer is made\n']);
    const token = await fleet.must('users', 'add', 'ada', '--role', 'deployer');
    await as('ada', 'login', token.trim());
    const { code, stdout } = await as('ada', '-o', 'json', '*,!sexy', 'up', '-d');
    const ends = stdout
      .split('\n')
      .filter((line) => line.includes('"task.finished"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(code, 5);
    assert.deepEqual(
      Object.fromEntries(
        ends.map(({ host, stack, state, reason }) => [`${String(host)}:${String(stack)}`, reason || state]),
      ),
      {
        'prod-1:proxy': 'the role deployer does not allow up (deny *:proxy *)',
        'prod-1:shop': 'the role deployer does not allow up (no rule does)',
        'test-1:proxy': 'the role deployer does not allow up (deny *:proxy *)',
        'test-1:shop': 'succeeded',
      },
    );
    assert.equal((await as('ada', '-e', 'TAG=1', 'test-1:shop', 'up', '-d')).code, 0);
    await denied(
      'ada',
      ['-e', 'X=1', 'test-1:shop', 'up', '-d'],
      /^the role deployer does not allow -e X \(env TAG\)$/,
    );
  });

  test('show prints what set -f reads, from a file or stdin', async () => {
    const shown = await fleet.must('roles', 'show', 'deployer');
    assert.equal(shown, 'allow *:* @read env=test\nallow test-*:* up,down\ndeny *:proxy *\nenv TAG\n');
    const file = join(fleet.folder, 'deployer.rules');
    await writeFile(file, `# who deploys\n${shown}`);
    await fleet.must('roles', 'set', 'from-file', '-f', file);
    await fleet.run('admin', ['roles', 'set', 'from-stdin', '-f', '-'], shown);
    for (const name of ['from-file', 'from-stdin'])
      assert.equal(await fleet.must('roles', 'show', name), shown);
  });

  test('set refuses a bad rule and names its line', async () => {
    const file = join(fleet.folder, 'bad.rules');
    await writeFile(file, 'allow * ps\nallow everything\n');
    const { code, stderr } = await fleet.kompose('roles', 'set', 'bad', '-f', file);
    assert.equal(code, 2);
    assert.match(stderr, /^kompose: line 2: a rule is allow PATTERN COMMANDS/);
    assert.equal((await fleet.kompose('roles', 'set', 'bad')).code, 2);
    assert.equal((await fleet.kompose('roles', 'show', 'bad')).code, 3);
  });

  test('ls: the built-in ones too, which cannot be changed', async () => {
    const listed = await fleet.objects('roles', 'ls');
    assert.deepEqual(listed.map(({ name, builtIn }) => [name, builtIn]).slice(0, 4), [
      ['admin', true],
      ['operator', true],
      ['viewer', true],
      ['deployer', false],
    ]);
    const { code, stderr } = await fleet.kompose('roles', 'set', 'viewer', '--allow', '* *');
    assert.equal(code, 1);
    assert.match(stderr, /the role viewer is built in/);
  });

  test('test says per target what would be allowed and by which rule, and starts nothing', async () => {
    const earlier = (await fleet.objects('runs')).length;
    const { code, stdout } = await fleet.kompose(
      'roles',
      'test',
      'ada',
      '*:{proxy,shop} up -d',
      '-o',
      'json',
    );
    assert.equal(code, 1);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      rows.map(({ host, stack, allowed, rule }) => [host, stack, allowed, rule]),
      [
        ['prod-1', 'proxy', false, 'deny *:proxy *'],
        ['prod-1', 'shop', false, null],
        ['test-1', 'proxy', false, 'deny *:proxy *'],
        ['test-1', 'shop', true, 'allow test-*:* up,down'],
      ],
    );
    assert.equal((await fleet.kompose('roles', 'test', 'ada', '--', 'test-1:shop', 'up', '-d')).code, 0);
    assert.equal((await fleet.kompose('roles', 'test', '--role', 'viewer', 'shop up')).code, 1);
    assert.equal((await fleet.kompose('roles', 'test', 'nobody', 'shop up')).code, 3);
    assert.equal((await fleet.objects('runs')).length, earlier);
  });

  test('of users: users role changes it at once, also on an open stream; the last admin stays one', async () => {
    await fleet.writeStack('test-1', 'shop', {
      'action.sh': '[[ $1 == logs ]] || exit 0\necho began; exec sleep 60\n',
    });
    const logs = fleet.spawn('ada', ['test-1:shop', 'logs', '-f']);
    await logs.shows('stdout', 'began');
    await fleet.must('roles', 'set', 'deployer', '--allow', '* ps');
    assert.equal(await logs.ended, 1);
    assert.match(logs.stderr, /the role deployer does not allow logs/);
    await fleet.must('users', 'role', 'ada', 'viewer');
    await denied('ada', ['test-1:shop', 'up', '-d'], /^up needs the role operator; yours is viewer$/);
    const last = await fleet.kompose('users', 'role', 'admin', 'viewer');
    assert.deepEqual([last.code, /last admin/.test(last.stderr)], [1, true]);
    assert.equal((await fleet.kompose('users', 'role', 'ada', 'none')).code, 2);
    assert.equal((await fleet.kompose('users', 'role', 'nobody', 'viewer')).code, 3);
  });

  test('remove: one that nobody has', async () => {
    await fleet.must('users', 'role', 'ada', 'from-file');
    const { code, stderr } = await fleet.kompose('roles', 'remove', 'from-file');
    assert.deepEqual([code, /ada has the role from-file/.test(stderr)], [1, true]);
    await fleet.must('roles', 'remove', 'from-stdin');
    assert.equal((await fleet.kompose('roles', 'remove', 'from-stdin')).code, 3);
  });

  test('are for admins to change, and each change is audited', async () => {
    for (const words of [
      ['roles', 'set', 'mine', '--allow', '* *'],
      ['roles', 'remove', 'from-file'],
      ['users', 'role', 'olga', 'admin'],
      ['roles', 'test', 'admin', '* up'],
    ]) {
      assert.equal((await as('olga', ...words)).code, 5, words.join(' '));
    }
    const types = new Set((await fleet.objects('audit')).map(({ type }) => type));
    for (const type of ['role.changed', 'role.removed', 'user.changed', 'request.denied'])
      assert.ok(types.has(type), type);
  });
});

describe('nobody smuggles past the roles viewer and operator', () => {
  for (const words of [
    ['config', '-o', '/tmp/x'],
    ['config', '-o/tmp/x'],
    ['config', '-qo/tmp/x'],
    ['config', '--output', '/tmp/x'],
    ['config', '--output=/tmp/x'],
    ['convert', '-o', '/tmp/x'],
    ['cp', 'web:/etc/passwd', '/tmp/x'],
    ['attach', 'web'],
    ['exec', '-T', 'web', 'sh'],
    ['run', '--rm', '-v', '/:/host', 'web', 'sh'],
    ['export', '-o', '/tmp/x', 'web'],
    ['watch'],
    ['db:import', 'x.sql'],
  ]) {
    test(words.join(' '), async () => {
      for (const user of ['vera', 'olga'])
        await denied(user, ['prod-1:shop', ...words], /needs the role admin; yours is (viewer|operator)$/);
    });
  }

  for (const words of [
    ['up', '-d', '--env-file', '/etc/passwd'],
    ['up', '-d', '--file=/tmp/compose.yaml'],
    ['up', '-w'],
    ['build', '--ssh', 'default'],
    ['build', '--secret', 'id=x,src=/etc/shadow'],
    ['build', '--build-context', 'x=/root'],
    ['build', '--builder', 'other'],
    ['logs', '--project-directory', '/'],
  ]) {
    test(words.join(' '), () =>
      denied(
        'olga',
        ['prod-1:shop', ...words],
        new RegExp(`^${words[0]} -\\S+ needs the role admin; yours is operator$`),
      ),
    );
  }

  for (const name of [
    'PATH',
    'LD_PRELOAD',
    'BASH_ENV',
    'DOCKER_HOST',
    'COMPOSE_FILE',
    'PGHOST',
    'HTTP_PROXY',
    'https_proxy',
    'HOME',
  ]) {
    test(`-e ${name}`, async () => {
      const reason = new RegExp(`^-e ${name} needs the role admin; yours is`);
      await denied('vera', ['-e', `${name}=/tmp/x`, 'prod-1:shop', 'ps'], reason);
      await denied('olga', ['-e', `${name}=/tmp/x`, 'prod-1:shop', 'up', '-d'], reason);
    });
  }

  for (const word of ['-f', '--file=/tmp/x', '--project-directory', '-H']) {
    test(`a command that begins with "-": ${word}`, async () => {
      const { code, stderr } = await as('vera', 'prod-1:shop', word, 'ps');
      assert.equal(code, 2);
      assert.match(stderr, /-e COMPOSE_PROFILES=/);
    });
  }

  for (const words of [
    ['logs', '-f', '--tail', '5'],
    ['config', '--services'],
    ['ps', '-o', 'x'],
  ]) {
    test(`viewers may ${words.join(' ')}`, async () =>
      assert.equal((await as('vera', 'prod-1:shop', ...words)).code, 0));
  }

  test('operators may up -d --pull always, build --pull and logs', async () => {
    for (const words of [['up', '-d', '--pull', 'always'], ['build', '--pull'], ['logs']])
      assert.equal((await as('olga', 'prod-1:shop', ...words)).code, 0, words.join(' '));
  });
});
