import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endsUnwatched } from '../../../../controller/runs/watcher-needs.ts';

const ends: readonly [words: readonly [string, ...string[]], role: string, detach: boolean, ends: boolean][] =
  [
    [['logs', '-f'], 'viewer', false, true],
    [['up'], 'admin', false, true],
    [['up', '-d'], 'admin', false, false],
    [['exec', 'db', 'true'], 'admin', false, false],
    [['logs', '-f'], 'viewer', true, false],
    [['logs', '-f'], 'local', false, false],
    [['up'], 'hook', false, false],
  ];
for (const [[command, ...args], role, detach, isEnded] of ends) {
  const how = `${[command, ...args].join(' ')} of ${role}${detach ? ', detached,' : ''}`;
  test(`${how} ${isEnded ? 'ends' : 'goes on'} when nobody watches`, () => {
    const actor = { name: 'ada', role, certificate: '' };
    assert.equal(endsUnwatched({ command, args, actor }, { detach }), isEnded);
  });
}
