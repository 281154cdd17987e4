import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const script = join(import.meta.dirname, '../../../agent/process/process-identity.ts');

/** What an agent whose user is not root asks of a host whose /proc hides the processes of others (`hidepid=1`). */
const asked = `
  const { descentOf, isRunning, processStart } = await import(${JSON.stringify(script)});
  process.setgroups([]);
  process.setgid(65534);
  process.setuid(65534);
  const init = isRunning({ pid: 1, processStart: '999999' });
  const own = isRunning({ pid: process.pid, processStart: processStart(process.pid) });
  console.log(JSON.stringify({ init, own, descent: descentOf([process.pid]).length }));
`;

test('processes that a host hides are nobody’s descent and do not run', () => {
  const hide = 'mount -t proc -o hidepid=1 proc /proc && exec "$@"';
  const node = [process.execPath, '--input-type=module', '-e', asked];
  const argv = ['-m', 'sh', '-c', hide, 'sh', ...node];
  const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
  assert.equal(stdout, '{"init":false,"own":true,"descent":0}\n', stderr);
});
