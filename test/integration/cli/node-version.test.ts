import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { execa } from 'execa';
import { kompose } from '../../fleet/release.ts';

/** Has a program take its Node for one of an earlier version; one that this starts in its place knows what it is. */
const pretence = `
if (process.env.PRETENDED === undefined) {
  process.env.PRETENDED = 'yes';
  Object.defineProperty(process.versions, 'node', { value: process.env.PRETEND });
}`;

async function runUnder(t: TestContext, version: string, program: string, ...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-node-'));
  t.after(() => rm(folder, { recursive: true }));
  const preload = join(folder, 'pretend.mjs');
  await writeFile(preload, pretence);
  const env = { PATH: process.env['PATH'], KOMPOSE_HOME: folder, PRETEND: version };
  const argv = ['--import', preload, program, ...args];
  return execa(process.execPath, argv, { env, extendEnv: false, reject: false, stdin: 'ignore' });
}

/** The release where no Node came along. */
async function releaseAlone(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-alone-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(dirname(kompose), join(folder, 'dist'), { recursive: true });
  return join(folder, 'dist/kompose.js');
}

const init = ['-o', 'json', 'controller', 'init', '--address', '127.0.0.1:7443'];

describe('under a Node that is too old', () => {
  test('a controller goes on under the one that came along', async (t) => {
    const { exitCode, stdout, stderr } = await runUnder(t, '24.21.0', kompose, ...init);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /kmp1\./);
    assert.equal(stderr.includes('Warning'), false, stderr);
  });

  test('a controller says what to install where none came along', async (t) => {
    const { exitCode, stdout, stderr } = await runUnder(t, '24.21.0', await releaseAlone(t), ...init);
    const expected =
      'kompose: this is Node 24.21.0; install Node 26.9 or newer, or 24 from 24.22 on: a controller needs it';
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 1, stdout: '', stderr: expected });
  });

  test('any other program does what it is asked for', async (t) => {
    const { exitCode, stdout } = await runUnder(t, '24.0.0', await releaseAlone(t), 'agent', '--help');
    assert.equal(exitCode, 0);
    assert.match(stdout, /agent/);
  });

  test('any program of one older than 24 goes on under the one that came along', async (t) => {
    const { exitCode, stderr } = await runUnder(t, '20.20.2', kompose, 'agent', '--help');
    assert.equal(exitCode, 0, stderr);
  });
});
