import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeAudit } from '../../../cli/output/audit-line.ts';
import { printable } from '../../../common/printable.ts';
import { shellQuote } from '../../../cli/output/shell-quote.ts';
import { table } from '../../../cli/output/table.ts';
import { cutTo, textWidth } from '../../../cli/output/text-width.ts';
import { wholeCharacters } from '../../../cli/output/utf8.ts';
import { labelsText, timeOrNull } from '../../../cli/output/values.ts';

const quotedWords: readonly [argv: string[], text: string][] = [
  [['up', '-d', 'a=b', './x:y@z'], 'up -d a=b ./x:y@z'],
  [['', 'a b', '*', '$x', '#'], `'' 'a b' '*' '$x' '#'`],
  [["it's"], String.raw`'it'\''s'`],
  [['a\nb\t\\\u001b'], String.raw`$'a\nb\t\\\u001b'`],
  [['é'], `'é'`],
];
for (const [argv, text] of quotedWords) {
  test(`quotes ${JSON.stringify(argv)} for a shell`, () => {
    assert.equal(shellQuote(argv), text);
  });
}

test('escapes what would move the cursor or turn the text around', () => {
  assert.equal(printable('a\u001b[2J\r\n\t\u0085\u202eb é €'), String.raw`a\x1b[2J\x0d\n\t\x85\u202eb é €`);
});

const cuts: readonly [bytes: number[], whole: number][] = [
  [[], 0],
  [[0x61], 1],
  [[0xc3], 0],
  [[0xc3, 0xa9], 2],
  [[0x61, 0xe2, 0x82], 1],
  [[0xe2, 0x82, 0xac], 3],
  [[0xf0, 0x9f, 0x98], 0],
  [[0xf0, 0x9f, 0x98, 0x80], 4],
  [[0x82, 0x82, 0x82, 0x82], 4],
  [[0xff], 1],
  [[0xc0], 1],
  [[0xf5], 1],
];
for (const [bytes, whole] of cuts) {
  test(`finds ${whole} bytes of whole characters in [${bytes.map((byte) => byte.toString(16)).join(' ')}]`, () => {
    assert.equal(wholeCharacters(Uint8Array.from(bytes)), whole);
  });
}

test('aligns a table and marks empty cells', () => {
  const columns = [
    { title: 'NAME', text: (row: string[]) => row[0] ?? '' },
    { title: 'X', text: (row: string[]) => row[1] ?? '' },
  ];
  assert.equal(
    table(columns, [['long name', 'a\nb'], ['b']]),
    'NAME       X\nlong name  a\\nb\nb          -\n',
  );
});

const listed = [
  {
    title: 'ID',
    text: (row: string[]) => row[0] ?? '',
    narrow: (row: string[]) => (row[0] ?? '').slice(0, 3),
  },
  { title: 'FROM', text: () => '10.0.0.1', narrow: 'dropped' },
  { title: 'WHAT', text: (row: string[]) => row[1] ?? '', wraps: true },
] as const;
const row = ['0123456789', 'a long text of several words that goes on'];

test('says all of a row where the screen is wide enough, and off a screen', () => {
  const whole = `ID          FROM      WHAT\n${row[0]}  10.0.0.1  ${row[1]}\n`;
  assert.equal(table(listed, [row]), whole);
  assert.equal(table(listed, [row], 22 + 41), whole);
});

test('says less, and then wraps, where a table is wider than the screen', () => {
  assert.equal(table(listed, [row], 62), `ID   WHAT\n012  ${row[1]}\n`);
  assert.equal(
    table(listed, [row], 25),
    ['ID   WHAT', '012  a long text of', '     several words that', '     goes on', ''].join('\n'),
  );
});

test('stays within the screen as long as there is room at all', () => {
  const rows = [row, ['1', `a ${'b'.repeat(99)} c`], ['2', '日本語'.repeat(9)]];
  for (let width = 17; width < 120; width++) {
    const lines = table(listed, rows, width).split('\n');
    assert.ok(
      lines.every((line) => textWidth(line) <= width),
      String(width),
    );
    const letters = lines.join('').replaceAll(/[^b日本語]/g, '');
    assert.equal(letters, 'b'.repeat(99) + '日本語'.repeat(9));
  }
});

const widths: readonly [text: string, width: number][] = [
  ['', 0],
  ['plain', 5],
  ['ünï', 3],
  ['e\u0301', 1],
  ['日本', 4],
  ['ｆｕｌｌ', 8],
  ['🚢🐳', 4],
  ['한글', 4],
  ['…✔✘', 3],
];
for (const [text, width] of widths) {
  test(`gives ${JSON.stringify(text)} ${width} cells`, () => {
    assert.equal(textWidth(text), width);
  });
}

test('cuts a text to cells, never through a character', () => {
  assert.equal(cutTo('日本語', 6), '日本語');
  assert.equal(cutTo('日本語', 5), '日本…');
  assert.equal(cutTo('日本語', 4), '日…');
  assert.equal(cutTo('🚢🐳', 1), '…');
  assert.equal(cutTo('x', 0), '');
});

test('writes times for programs and labels by name', () => {
  assert.equal(timeOrNull(0), null);
  assert.equal(timeOrNull(5), '1970-01-01T00:00:00.005Z');
  assert.equal(labelsText({ b: '2', a: '' }), 'a= b=2');
});

test('counts the targets of a record that has many', () => {
  const { targets } = describeAudit(1, { targets: ['a:a', 'b:b', 'c:c', 'd:d', 'e:e'] });
  assert.equal(targets, 'a:a b:b c:c and 2 more');
});

test('leaves empty what a record has in another form than expected', () => {
  const line = describeAudit(7, { time: 'never', actor: 'ada', hook: [], targets: 'all', exitCode: '1' });
  const empty = { when: '', briefWhen: '', who: '', from: '', what: '', targets: '', result: '' };
  assert.deepEqual(line, { seq: '7', ...empty });
});
