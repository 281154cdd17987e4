import assert from 'node:assert/strict';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import type { Rig } from '../fleet/fleet.ts';
import { startRig } from '../fleet/rig.ts';
import { idleService } from './support.ts';

const program = new URL('../../bin/kompose.ts', import.meta.url).pathname;
let rig: Rig;
let root: string;

before(async () => {
  rig = await startRig({ hosts: ['here'] });
  root = join(rig.host('here').folder, 'stacks');
  await write('one/compose.yaml', `${idleService}    environment: [TAG, FROM_HOOK]\n`);
  await write('one/.env', 'TAG=from-file\nONLY_ONE=1\n');
  await write(
    'one/hooks.sh',
    'hook_pre_up() { export FROM_HOOK="hook $*"; }\nhook_post_restart() { "$SCRIPT_DIR/kompose.sh" two restart; }\nhook_pre_top() { "$SCRIPT_DIR/kompose.sh" two top; }\n',
  );
  await write('two/compose.yaml', idleService);
  await write(
    'two/hooks.sh',
    'hook_pre_restart() { echo "two: ${ONLY_ONE-unset} E=$E"; }\nhook_pre_top() { "$SCRIPT_DIR/kompose.sh" one top; }\nhook_pre_images() { echo "TAG=$TAG"; }\n',
  );
});

after(() => rig.stop());

async function write(path: string, content: string): Promise<void> {
  const full = join(root, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content, { mode: path.endsWith('.sh') ? 0o750 : 0o644 });
}

/** kompose in the stacks root, where nobody has logged in. */
function kompose(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
) {
  const { argvPrefix, env, folder } = rig.host('here');
  const [file = 'env', ...rest] = [...argvPrefix, process.execPath, program, ...args];
  return execa(file, rest, {
    cwd: options.cwd ?? root,
    env: { ...env, KOMPOSE_HOME: join(folder, 'nobody'), ...options.env },
    reject: false,
    timeout: 60_000,
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
  });
}

test('a dry run plans and writes nothing, kompose.sh neither', async () => {
  const { stdout, exitCode } = await kompose(['-n', 'one', 'up', '-d']);
  assert.equal(exitCode, 0);
  assert.match(stdout, /hook_pre_up up -d\n.*docker compose up -d/s);
  assert.deepEqual((await readdir(root)).toSorted(), ['one', 'two']);
});

test('runs hooks and compose in the current folder without any controller', async () => {
  const { stderr, exitCode } = await kompose(['*', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual((await rig.docker('here', ['ps', '--format', '{{.Names}}'])).split('\n').toSorted(), [
    'one-api-1',
    'two-api-1',
  ]);
});

test("takes the caller's environment as its lowest layer", async () => {
  const { stdout } = await kompose(['one', 'exec', '-T', 'api', 'sh', '-c', 'echo "$TAG, $FROM_HOOK"']);
  assert.equal(stdout, 'from-file, hook up -d');
  const hook = await kompose(['two', 'images'], { env: { TAG: 'v2' } });
  assert.match(hook.stderr, /^TAG=v2$/m);
});

test('chains by kompose.sh, which inherits -e and nothing of the hook', async () => {
  const { stderr, exitCode } = await kompose(['-e', 'E=5', 'one', 'restart']);
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /two: unset E=5/);
  assert.equal((await stat(join(root, 'kompose.sh'))).mode & 0o777, 0o755);
});

test('refuses a chain that comes back', async () => {
  const { stderr, exitCode } = await kompose(['one', 'top']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /refused: one is at work in this chain already \(one -> two -> one\)/);
});

test('runs kompose.sh as a person types it', async () => {
  const { argvPrefix, env } = rig.host('here');
  const [file, ...rest] = [...argvPrefix, join(root, 'kompose.sh'), 'one', 'ps', '--services'];
  const { stdout } = await execa(file, rest, { env });
  assert.equal(stdout, 'api');
});

test('passes stdin and the exit code of exec', async () => {
  const cat = await kompose(['one', 'exec', '-T', 'api', 'cat'], { input: 'a line' });
  assert.equal(cat.stdout, 'a line');
  assert.equal((await kompose(['one', 'exec', '-T', 'api', 'sh', '-c', 'exit 9'])).exitCode, 9);
});

test('is asked for by --local and KOMPOSE_STACKS from anywhere', async () => {
  const { stdout } = await kompose(['--local', 'one', 'ps', '--services'], {
    cwd: '/',
    env: { KOMPOSE_STACKS: root },
  });
  assert.equal(stdout, 'api');
});

test('names the nearest stack, and says where there is none', async () => {
  const near = await kompose(['on', 'ps']);
  assert.deepEqual([near.exitCode, near.stderr.includes('did you mean one?')], [3, true]);
  const none = await kompose(['--local', 'one', 'ps'], { cwd: '/' });
  assert.deepEqual([none.exitCode, none.stderr.includes('is no stacks root')], [3, true]);
  assert.equal((await kompose(['one', 'ps'], { cwd: '/' })).exitCode, 5);
});

test('leaves no lock and no work folder behind', async () => {
  const locks = join(root, '.kompose', 'locks');
  for (const each of await readdir(locks)) assert.deepEqual(await readdir(join(locks, each)), []);
});
