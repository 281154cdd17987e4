import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CliProcess } from '../integration/cli/cli-process.ts';

const run = promisify(execFile);
let home: string;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'kompose install '));
});
after(() => rm(home, { recursive: true }));

async function install(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const cli = new CliProcess(home, words, { DOCKER_HOST: 'unix:///run/other.sock' });
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
    assert.ok(valuesOf(unit, 'Environment').includes(`KOMPOSE_HOME=${home}`));
    await verify(path);
  });

  test(`${program} install --print: the same on stdout, and nothing is written`, async () => {
    const { code, stdout, stderr } = await install(program, 'install', '--print');
    assert.deepEqual([code, stderr], [0, '']);
    const written = await readFile(join(home, 'units', `kompose-${program}.service`), 'utf8');
    assert.equal(stdout, written);
  });
}

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
