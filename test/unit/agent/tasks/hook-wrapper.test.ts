import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { envAfterHook, hookArgv, noExports, parseExports } from '../../../../agent/tasks/hook-wrapper.ts';

const defined = '__kompose_defined=1\0';
const whole = '__kompose_whole=1\0';

describe('parseExports', () => {
  test('reads nothing where the hook wrote nothing', () => {
    assert.deepEqual(parseExports(noExports), { isDefined: false, variables: new Map(), isTorn: false });
  });

  test('tells whether the function was defined', () => {
    assert.equal(parseExports(`${defined}A=1\0${whole}`).isDefined, true);
    assert.equal(parseExports(`A=1\0${whole}`).isDefined, false);
    assert.deepEqual([...parseExports(`${defined}A=1\0${whole}`).variables.keys()], ['A']);
  });

  test('takes nothing of what is cut off anywhere', () => {
    const text = `${defined}A=1\0B=2\0${whole}`;
    for (let length = 0; length < text.length; length++) {
      const { variables, isTorn } = parseExports(text.slice(0, length));
      assert.deepEqual({ size: variables.size, isTorn }, { size: 0, isTorn: true }, String(length));
    }
  });

  test('splits at the first =', () => {
    assert.equal(parseExports(`URL=http://x?a=b=\0${whole}`).variables.get('URL'), 'http://x?a=b=');
  });

  test('keeps empty values, and drops what has no name', () => {
    assert.deepEqual([...parseExports(`EMPTY=\0=x\0garbage\0${whole}`).variables], [['EMPTY', '']]);
  });

  test('gives back any values', () => {
    const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,9}$/);
    const value = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', ''));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
        const text = pairs.map(([key, content]) => `${key}=${content}\0`).join('');
        assert.deepEqual(parseExports(`${text}${whole}`).variables, new Map(pairs));
      }),
    );
  });
});

describe('envAfterHook', () => {
  const after = (before: Record<string, string>, exported: Record<string, string>): Record<string, string> =>
    envAfterHook(before, new Map(Object.entries(exported)));

  test('adds and changes what was exported', () => {
    assert.deepEqual(after({ A: '1', B: '2' }, { A: '1', B: '3', C: '4' }), { A: '1', B: '3', C: '4' });
  });

  test('drops what the hook unset', () => {
    assert.deepEqual(after({ A: '1', B: '2' }, { A: '1' }), { A: '1' });
  });

  test('keeps names that bash cannot hold', () => {
    assert.deepEqual(after({ 'a.b': '1', 'x-y': '2' }, {}), { 'a.b': '1', 'x-y': '2' });
  });

  for (const name of [
    'SCRIPT_DIR',
    'stack',
    'PWD',
    'OLDPWD',
    'SHLVL',
    '_',
    'KOMPOSE_HOOK',
    'KOMPOSE_RUN_ID',
  ]) {
    test(`takes no ${name} from a hook`, () => {
      assert.deepEqual(after({ [name]: 'old' }, { [name]: 'new' }), { [name]: 'old' });
      assert.deepEqual(after({}, { [name]: 'new' }), {});
    });
  }

  test('passes on names that only begin like reserved ones', () => {
    assert.deepEqual(after({}, { stacks: '1', PWD_X: '2', MY_KOMPOSE_X: '3', _x: '4' }), {
      stacks: '1',
      PWD_X: '2',
      MY_KOMPOSE_X: '3',
      _x: '4',
    });
  });
});

describe('hookArgv', () => {
  test('passes the arguments on as words of their own, never as part of a script', () => {
    const args = ['up', '', '$(id)', "'", 'a b', '\n'];
    const hook = { file: '/s/hooks.sh', exportsFile: '/w/exports', replacesShell: false };
    const argv = hookArgv({ ...hook, argv: ['hook_pre_up', ...args] });
    const plain = hookArgv({ ...hook, argv: ['hook_pre_up'] });
    assert.deepEqual(argv, [...plain, ...args]);
    assert.equal(argv[0], 'bash');
  });
});
