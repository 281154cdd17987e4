import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { kompose } from '../../fleet/release.ts';
import { StubFleet } from '../fleet/stub-fleet.ts';

/** Inside the project: the release finds its packages there. */
const cache = fileURLToPath(new URL('../../../node_modules/.cache', import.meta.url));

test('an agent whose program was replaced on the disk goes on with what it is asked', async (t) => {
  await mkdir(cache, { recursive: true });
  const program = await mkdtemp(join(cache, 'program-'));
  t.after(() => rm(program, { recursive: true, force: true }));
  await cp(dirname(kompose), program, { recursive: true });
  const fleet = await StubFleet.start('prod-1');
  t.after(() => fleet.stop());
  await fleet.writeStack('prod-1', 'sexy', { 'hooks.sh': 'hook_pre_up() { echo "$1" > seen; }\n' });
  await fleet.stopAgent('prod-1');
  const env = {
    PATH: `${join(fleet.folder, 'bin')}:${process.env['PATH'] ?? ''}`,
    KOMPOSE_HOME: fleet.home('prod-1'),
  };
  const argv = [join(program, 'kompose.js'), 'agent', 'serve'];
  const agent = execa(process.execPath, argv, { env, reject: false, stdin: 'ignore' });
  t.after(() => agent.kill('SIGKILL'));
  await fleet.untilOnline('prod-1');
  await rm(program, { recursive: true });
  const { code, stderr } = await fleet.kompose('prod-1:sexy', 'up', '-d');
  assert.equal(code, 0, stderr);
  assert.equal(await readFile(join(fleet.stacks('prod-1'), 'sexy', 'seen'), 'utf8'), 'up\n');
});
