import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findFunctions, unsafety } from '../../../../agent/stacks/hooks-file.ts';

describe('findFunctions', () => {
  const tables: readonly { title: string; pretty: string; functions: readonly string[] }[] = [
    { title: 'none in an empty file', pretty: '', functions: [] },
    {
      title: 'each once, by name',
      pretty:
        'function hook_pre_up () \n{ \n    :\n}\nfunction hook_post_up () \n{ \n    :\n}\nhook_pre_up () \n{ \n    :\n}\n',
      functions: ['hook_post_up', 'hook_pre_up'],
    },
    { title: 'one with a number', pretty: 'hook_pre_step2 () \n{\n:\n}', functions: ['hook_pre_step2'] },
    {
      title: 'not those of other names',
      pretty: 'my_hook_pre_up () \n{\n:\n}\nlog () \n{\n:\n}',
      functions: [],
    },
    { title: 'not a call', pretty: 'hook_pre_up up -d;\necho "hook_post_up ()"', functions: [] },
  ];
  for (const { title, pretty, functions } of tables) {
    test(`finds ${title}`, () => assert.deepEqual(findFunctions(pretty).functions, functions));
  }

  const sourcing = [
    'source ./lib.sh',
    '. ./lib.sh',
    '    . ./lib.sh;',
    '[ -f lib.sh ] && . lib.sh',
    'false || source lib.sh',
    'eval "$text"',
    'builtin source lib.sh',
    'command . lib.sh',
    '{ . lib.sh; }',
    '( . lib.sh )',
    'true; . lib.sh',
    'if source lib.sh; then',
    'if ! source lib.sh; then',
    'while . lib.sh; do',
    'until . lib.sh; do',
    '! . lib.sh',
    'elif . lib.sh; then',
    'LIB=1 source lib.sh',
    'time . lib.sh',
  ];
  for (const line of sourcing) {
    test(`sees that more may be defined by: ${line}`, () => {
      assert.equal(findFunctions(`${line}\n`).mayDefineMore, true);
    });
  }

  for (const line of [
    'echo source',
    'resource x',
    'ls . ',
    'cp -r . /tmp',
    'echo "a . b"',
    './run.sh',
    'x=eval',
  ]) {
    test(`sees that nothing more is defined by: ${line}`, () => {
      assert.equal(findFunctions(`${line}\n`).mayDefineMore, false);
    });
  }

  test('sees what may end the shell before its exports are caught', () => {
    assert.equal(findFunctions('    exec sleep 1;').replacesShell, true);
    assert.equal(findFunctions("trap 'rm x' EXIT").replacesShell, true);
    assert.equal(findFunctions('executor; my_trap_1').replacesShell, false);
  });
});

describe('unsafety', () => {
  const own = process.getuid?.() ?? 0;
  const rootOwner = 4001;
  const path = '/srv/stacks/sexy/hooks.sh';

  for (const mode of [0o100602, 0o100777, 0o100646]) {
    test(`refuses mode ${(mode & 0o777).toString(8)} and says how to mend it`, () => {
      const problem = unsafety(path, { mode, uid: own }, rootOwner);
      assert.equal(problem, `${path} is writable by everybody: run chmod o-w ${path}`);
    });
  }

  for (const mode of [0o100755, 0o100750, 0o100600, 0o100664]) {
    test(`takes mode ${(mode & 0o777).toString(8)}`, () => {
      assert.equal(unsafety(path, { mode, uid: own }, rootOwner), undefined);
    });
  }

  test('takes files of root, of the agent, and of the owner of the stacks root', () => {
    for (const uid of [0, own, rootOwner]) {
      assert.equal(unsafety(path, { mode: 0o100750, uid }, rootOwner), undefined, `user ${uid}`);
    }
  });

  test('refuses a file of anybody else and says how to mend it', () => {
    const problem = unsafety(path, { mode: 0o100750, uid: 4002 }, rootOwner) ?? '';
    assert.match(problem, /belongs to user 4002/);
    assert.ok(problem.endsWith(`run chown ${own} ${path}`), problem);
  });
});
