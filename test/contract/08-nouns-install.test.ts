import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CliProcess } from '../integration/cli/cli-process.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

const run = promisify(execFile);
let home: string;

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1');
  home = await mkdtemp(join(tmpdir(), 'kompose install '));
  // A blank in a path is what systemd reads in its own way.
  await cp(join(fleet.home('controller'), 'controller'), join(home, 'controller'), { recursive: true });
  await cp(join(fleet.home('prod-1'), 'agent'), join(home, 'agent'), {
    recursive: true,
    filter: (path) => !path.endsWith('.sock'),
  });
});
after(async () => {
  await rm(home, { recursive: true });
  await fleet.stop();
});

async function install(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return installAt(home, words);
}

async function installAt(
  where: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const cli = new CliProcess(where, words, { DOCKER_HOST: 'unix:///run/other.sock', ...env });
  return { code: await cli.ended, stdout: cli.stdout, stderr: cli.stderr };
}

/** As systemd reads it: quotes around a value, and `%%` for one. */
function valuesOf(unit: string, name: string): string[] {
  const lines = unit.split('\n').filter((line) => line.startsWith(`${name}=`));
  return lines.map((line) =>
    line
      .slice(name.length + 1)
      .replaceAll(/^"|"$/g, '')
      .replaceAll('%%', '%'),
  );
}

/** Where systemd is, it has the last word on what a unit means. */
async function verify(path: string): Promise<void> {
  const { stderr } = await run('systemd-analyze', ['verify', path]).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { stderr: '' };
    throw error;
  });
  assert.equal(stderr.includes(path), false, stderr);
}

for (const [program, verb] of [
  ['agent', 'agent'],
  ['controller', 'controller'],
] as const) {
  test(`${program} install: writes a unit that systemd understands and says how to enable it`, async () => {
    const units = join(home, 'units');
    const { code, stdout, stderr } = await install(program, 'install', '--to', units);
    const path = join(units, `kompose-${program}.service`);
    assert.deepEqual([code, stdout], [0, '']);
    const next = `systemctl daemon-reload && systemctl enable --now kompose-${program}`;
    assert.equal(stderr, `wrote ${path}; now: ${next}\n`);
    const unit = await readFile(path, 'utf8');
    assert.deepEqual(valuesOf(unit, 'WantedBy'), ['multi-user.target']);
    assert.match(valuesOf(unit, 'ExecStart')[0] ?? '', new RegExp(`^/.*kompose\\S* ${verb} serve$`));
    for (const line of [`KOMPOSE_HOME=${home}`, 'MALLOC_ARENA_MAX=1'])
      assert.ok(valuesOf(unit, 'Environment').includes(line), line);
    await verify(path);
  });

  test(`${program} install: its unit gives Node arguments that Node knows`, async () => {
    const { stdout: unit } = await install(program, 'install', '--print');
    const [node = '', ...words] = valuesOf(unit, 'ExecStart')[0]?.split(' ') ?? [];
    const args = words.filter((word) => word.startsWith('--'));
    assert.ok(args.length > 0);
    await run(node, [...args, '--eval', '0']);
  });

  test(`${program} install --print: the same on stdout, and nothing is written`, async () => {
    const { code, stdout, stderr } = await install(program, 'install', '--print');
    assert.deepEqual([code, stderr], [0, '']);
    const written = await readFile(join(home, 'units', `kompose-${program}.service`), 'utf8');
    assert.equal(stdout, written);
  });
}

for (const [program, why] of [
  ['agent', /^kompose: this machine has not joined a fleet \(no .*\): kompose agent join TOKEN\n$/],
  ['controller', /^kompose: there is no controller in .*: kompose controller init --address HOST:PORT\n$/],
] as const) {
  test(`${program} install: is refused where there is none yet, with the next step`, async () => {
    const units = join(home, 'no-units');
    const empty = join(home, 'empty');
    const { code, stderr } = await installAt(empty, [program, 'install', '--to', units]);
    assert.equal(code, 1);
    assert.match(stderr, why);
    await assert.rejects(readdir(units), { code: 'ENOENT' });
    assert.equal((await installAt(empty, [program, 'install', '--print'])).code, 0);
  });

  test(`${program} install: leaves a unit alone that says something else, unless --force`, async () => {
    const units = await mkdtemp(join(home, 'units-'));
    const path = join(units, `kompose-${program}.service`);
    await writeFile(path, '# mine\n');
    const { code, stderr } = await install(program, 'install', '--to', units);
    assert.equal(code, 1);
    assert.match(stderr, /is there already and says something else: .* replace it with --force/);
    assert.equal(await readFile(path, 'utf8'), '# mine\n');
    assert.equal((await install(program, 'install', '--to', units, '--force')).code, 0);
    assert.match(await readFile(path, 'utf8'), /ExecStart=/);
    assert.equal((await install(program, 'install', '--to', units)).code, 0);
  });
}

test('agent install: gives the agent the usual PATH, and docker where that is elsewhere', async () => {
  const usual = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const bin = join(home, 'other bin');
  await mkdir(bin);
  await writeFile(join(bin, 'docker'), '#!/bin/sh\n', { mode: 0o755 });
  const pathOf = async (PATH: string): Promise<string[]> => {
    const { stdout } = await installAt(home, ['agent', 'install', '--print'], { PATH });
    return valuesOf(stdout, 'Environment').filter((each) => each.startsWith('PATH='));
  };
  assert.deepEqual(await pathOf(`/home/ada/.nvm/bin:node_modules/.bin:${bin}`), [`PATH=${bin}:${usual}`]);
  assert.deepEqual(await pathOf('/home/ada/.nvm/bin'), [`PATH=${usual}`]);
});

for (const program of ['agent', 'controller']) {
  test(`${program}: help and mistakes are those of the other nouns`, async () => {
    const help = await install(program, '--help');
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: kompose \w+ \[options\] \[command\]\n\nThe .*\.\n/);
    assert.doesNotMatch(help.stdout, /^ +help /m);
    const none = await install(program);
    assert.equal(none.code, 2);
    assert.match(none.stderr, new RegExp(`^kompose: ${program}: which one\\? .*serve, .*install\n$`));
    const wrong = await install(program, 'sreve');
    assert.equal(wrong.code, 2);
    assert.equal(wrong.stderr, `kompose: ${program} has no verb "sreve": did you mean serve?\n`);
    assert.equal((await install(program, 'serve', 'x')).code, 2);
  });
}

test('agent join --help: shows no defaults that are none', async () => {
  assert.doesNotMatch((await install('agent', 'join', '--help')).stdout, /default/);
});

test('controller ca: a mistyped verb is refused by name', async () => {
  const { code, stderr } = await install('controller', 'ca', 'rotat');
  assert.deepEqual([code, stderr], [2, 'kompose: ca has no verb "rotat": did you mean rotate?\n']);
});

test('agent install: ends only the agent itself, keeps its engine, and does not come back once removed', async () => {
  const { stdout } = await install('agent', 'install', '--print');
  assert.deepEqual(valuesOf(stdout, 'KillMode'), ['process']);
  assert.deepEqual(valuesOf(stdout, 'RestartPreventExitStatus'), ['5']);
  assert.ok(valuesOf(stdout, 'Environment').includes('DOCKER_HOST=unix:///run/other.sock'));
});

test('controller install: gives the controller its folder to write to and nothing else', async () => {
  const { stdout } = await install('controller', 'install', '--print');
  assert.deepEqual(valuesOf(stdout, 'ReadWritePaths'), [join(home, 'controller')]);
  assert.deepEqual(valuesOf(stdout, 'ProtectSystem'), ['strict']);
  assert.deepEqual(valuesOf(stdout, 'NoNewPrivileges'), ['yes']);
});

test('install: a folder that cannot be written is an error that names the way', async () => {
  const { code, stderr } = await install('agent', 'install', '--to', '/proc/units');
  assert.equal(code, 1);
  assert.match(stderr, /\/proc\/units.*--print/);
});
