import { deepEqual, doesNotMatch, equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  dumpFileName,
  dumpsOf,
  freeTime,
  partialFileName,
  partialsOf,
} from '../../../../agent/database/dump-names.ts';

const time = new Date(2026, 0, 2, 3, 4, 5);

describe('names of dumps', () => {
  const names: readonly [database: string, file: string][] = [
    ['shop', 'shop_20260102_030405.sql.gz'],
    ['My "odd" Größe', 'My "odd" Größe_20260102_030405.sql.gz'],
    ['a/b', 'a%2Fb_20260102_030405.sql.gz'],
    ['a%2Fb', 'a%252Fb_20260102_030405.sql.gz'],
    ['100% x', '100% x_20260102_030405.sql.gz'],
    ['..', '%2E._20260102_030405.sql.gz'],
    ['two\nlines', 'two%0Alines_20260102_030405.sql.gz'],
  ];
  for (const [database, file] of names) {
    test(`calls a dump of ${JSON.stringify(database)} ${file}`, () => {
      equal(dumpFileName(database, time, 'sql.gz'), file);
    });
  }

  test('never give two databases the same name, leave the folder or hide', () => {
    const name = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[a%/.2F_0-9]{1,8}$/));
    fc.assert(
      fc.property(name, name, (one, other) => {
        const file = dumpFileName(one, time, 'sql');
        doesNotMatch(file, /^\.|\//);
        equal(dumpsOf(other, [file]).length, one === other ? 1 : 0);
      }),
    );
  });
});

describe('the dumps of a database', () => {
  const files = [
    'shop_20260102_030405.sql',
    'shop_20260102_030406.sql.zst',
    'shop_20251231_235959.sql.gz',
    'shop_test_20270101_000000.sql',
    'shop_20260102_030405_20280101_000000.sql',
    'SHOP_20290101_000000.sql',
    'shop_20300101_000000.sql.bak',
    'shop_20300101.sql',
    '.shop_20300101_000000.sql.partial',
    'hooks.sh',
  ];

  test('are its own, in any format, the newest first', () => {
    deepEqual(
      dumpsOf('shop', files).map(({ file }) => file),
      ['shop_20260102_030406.sql.zst', 'shop_20260102_030405.sql', 'shop_20251231_235959.sql.gz'],
    );
  });

  test('leave the next free second to a new one', () => {
    const free = freeTime('shop', time, [...files, partialFileName('shop_20260102_030407.sql')]);
    equal(dumpFileName('shop', free, 'sql'), 'shop_20260102_030408.sql');
    deepEqual(freeTime('other', time, files), time);
  });

  test('that were not finished are told from those of others', () => {
    const partials = ['shop', 'shop_test'].map((name) => partialFileName(dumpFileName(name, time, 'sql')));
    deepEqual(partialsOf('shop', [...files, ...partials, '.shop.partial']), [
      '.shop_20300101_000000.sql.partial',
      '.shop_20260102_030405.sql.partial',
    ]);
  });
});
