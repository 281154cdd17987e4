import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type EnvLookups, parseEnvFile } from '../../../../agent/stacks/env-file.ts';
import { KomposeError } from '../../../../common/errors.ts';

const nowhere: EnvLookups = { wins: () => undefined, falls: () => undefined };

function lookups(wins: Record<string, string>, falls: Record<string, string> = {}): EnvLookups {
  return { wins: (name) => wins[name], falls: (name) => falls[name] };
}

function parsed(text: string, from: EnvLookups = nowhere): Record<string, string> {
  return Object.fromEntries(parseEnvFile(text, from, '.env'));
}

function assertFails(text: string, message: string | RegExp, from: EnvLookups = nowhere): void {
  assert.throws(
    () => parseEnvFile(text, from, 'sexy/.env'),
    (thrown) => {
      assert.ok(thrown instanceof KomposeError, String(thrown));
      assert.equal(thrown.code, 'failed');
      if (typeof message === 'string') assert.equal(thrown.message, message);
      else assert.match(thrown.message, message);
      return true;
    },
  );
}

type Case = readonly [text: string, expected: Record<string, string>];

function table(cases: readonly Case[], from: EnvLookups = nowhere): void {
  for (const [text, expected] of cases) {
    test(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parsed(text, from), expected);
    });
  }
}

// What docker compose 2.26.1 makes of the same files, but where a test says otherwise.
describe('lines', () => {
  table([
    ['', {}],
    ['\n \t\r\n', {}],
    ['# A=1', {}],
    ['  # A=1\nB=2 ', { B: '2' }],
    ['A=1', { A: '1' }],
    ['A=1\nB=2\n', { A: '1', B: '2' }],
    ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['\uFEFFA=1', { A: '1' }],
    ['A=1\nA=2', { A: '2' }],
    ['  A=1', { A: '1' }],
    ['A = 1', { A: '1' }],
    ['A\t=\t1\t', { A: '1' }],
    ['A=', { A: '' }],
    ['A=\nB=1', { A: '', B: '1' }],
    ['A=  ', { A: '' }],
    ['A: 1', { A: '1' }],
    ['A:1', { A: '1' }],
    ['A=b:c', { A: 'b:c' }],
    ['A: b=c', { A: 'b=c' }],
    ['A=b=c', { A: 'b=c' }],
    ['export A=1', { A: '1' }],
    ['export\tA=1', { A: '1' }],
    ['  export   A=1', { A: '1' }],
    ['export\nA=1', { A: '1' }],
    ['export', {}],
    ['exportA=1', { exportA: '1' }],
    ['export_A=1', { export_A: '1' }],
    ['export=1', { export: '1' }],
    ['A-B=1\nA.B=2\nA[1]=3\n1A=4\nÁ=5', { 'A-B': '1', 'A.B': '2', 'A[1]': '3', '1A': '4', Á: '5' }],
    ['__proto__x=1\nconstructor=2', { __proto__x: '1', constructor: '2' }],
  ]);

  test('keeps the order of the file', () => {
    assert.deepEqual([...parseEnvFile('B=1\nA=2\n', nowhere, '.env').keys()], ['B', 'A']);
  });

  test('takes __proto__ for a name like any other', () => {
    assert.equal(parseEnvFile('__proto__=1', nowhere, '.env').get('__proto__'), '1');
  });
});

describe('a name alone', () => {
  const from = lookups({ W: 'win', BOTH: 'win' }, { F: 'fall', BOTH: 'fall', E: '' });
  table(
    [
      ['W\n', { W: 'win' }],
      ['F\n', { F: 'fall' }],
      ['BOTH\n', { BOTH: 'win' }],
      ['E\n', { E: '' }],
      ['U\nA=1', { A: '1' }],
      ['export W\n', { W: 'win' }],
      ['W', { W: 'win' }],
      ['W  ', { W: 'win' }],
      ['A=1\nF', { A: '1', F: 'fall' }],
      ['F=1\nF\n', { F: '1' }],
      ['W=1\nW\n', { W: 'win' }],
    ],
    from,
  );
});

describe('values without quotes', () => {
  table([
    ['A=b#c', { A: 'b#c' }],
    ['A=b #c', { A: 'b' }],
    ['A=b  # c # d', { A: 'b' }],
    ['A=#c', { A: '#c' }],
    ['A= # c', { A: '# c' }],
    ['A=b\t#c', { A: 'b\t#c' }],
    ['A=a b  c  ', { A: 'a b  c' }],
    ['A=\u00a0b\u00a0', { A: 'b' }],
    ['A=a"b"', { A: 'a"b"' }],
    ["A=it's", { A: "it's" }],
    ['A=a\\nb', { A: 'a\\nb' }],
    ['A=\\$B', { A: '\\' }],
    ['A=`id`', { A: '`id`' }],
    ['A=$(id)', { A: '$(id)' }],
    ['A=$(id) $((1+1)) ; rm -rf /', { A: '$(id) $((1+1)) ; rm -rf /' }],
    ['A=$1 $ $-', { A: '$1 $ $-' }],
    ['A=$$B', { A: '$B' }],
    ['A=$$$$', { A: '$$' }],
    ['A=$$(id)', { A: '$(id)' }],
  ]);
});

describe('values in single quotes', () => {
  table([
    ["A='b'", { A: 'b' }],
    ["A=''", { A: '' }],
    ["A=' b # c '", { A: ' b # c ' }],
    ["A='$B ${C:?x} $$ $(id)'", { A: '$B ${C:?x} $$ $(id)' }],
    ["A='a\\nb\\\\'", { A: 'a\\nb\\\\' }],
    ["A='it\\'s'", { A: "it's" }],
    ["A='x\ny'\nB=2", { A: 'x\ny', B: '2' }],
    ["A='a\\\nb'", { A: 'a\\\nb' }],
    ["A='b' # c\nB=2", { A: 'b', B: '2' }],
    ["A='b'#c\nB=2", { A: 'b', B: '2' }],
    ["A='\"'", { A: '"' }],
  ]);
});

describe('values in double quotes', () => {
  table([
    ['A="b"', { A: 'b' }],
    ['A=""', { A: '' }],
    ['A=" b # c " # d', { A: ' b # c ' }],
    ['A="x\ny"\nB=2', { A: 'x\ny', B: '2' }],
    ['A="x\r\ny"\r\nB=2\r\n', { A: 'x\r\ny', B: '2' }],
    ['A="x\\"y"', { A: 'x"y' }],
    ['A="x\\\\"', { A: 'x\\' }],
    ['A="x\\\\\\"y"', { A: 'x\\"y' }],
    ['A="\'b\'"', { A: "'b'" }],
    ['A="\\a\\b\\f\\n\\r\\t\\v"', { A: '\x07\b\f\n\r\t\v' }],
    ['A="\\0101\\0377"', { A: 'A\u00ff' }],
    ['A="\\c\\x41\\u0041\\q"', { A: '\\c\\x41\\u0041\\q' }],
    ['A="\\09\\012\\0400\\0"', { A: '\\9\\12\\400\\' }],
    ['A="a\\\nb"', { A: 'a\\\nb' }],
    ['A="\\$B"', { A: '$B' }],
    ['A="\\${B}"', { A: '${B}' }],
    ['A="\\\\$B"\n', { A: '\\' }],
    ['A="$(id) `id`"', { A: '$(id) `id`' }],
    ['A="x" B=2', { A: 'x', B: '2' }],
    ['A="x"y\nB=1', { A: 'x', B: '1' }],
  ]);
});

describe('expansion', () => {
  const from = lookups({ W: 'win', WE: '' }, { F: 'fall', FE: '', A: 'lower' });
  table(
    [
      ['X=$W', { X: 'win' }],
      ['X=${W}', { X: 'win' }],
      ['X="$W-${F}."', { X: 'win-fall.' }],
      ['X=$Wx$W_$W', { X: 'win' }],
      ['X=a${U}b', { X: 'ab' }],
      ['W=own\nX=${W}', { W: 'own', X: 'win' }],
      ['F=own\nX=${F}', { F: 'own', X: 'own' }],
      ['X=${A}\nA=own', { X: 'lower', A: 'own' }],
      ['A=1\nA=${A}2', { A: '12' }],
      ['w=1\nX=$w$W', { w: '1', X: '1win' }],
      ["Y='$W'\nX=$Y", { Y: '$W', X: '$W' }],
      ['X=${U:-d}|${WE:-d}|${W:-d}', { X: 'd|d|win' }],
      ['X=${U-d}|${WE-d}|${W-d}', { X: 'd||win' }],
      ['X=${U:+d}|${WE:+d}|${W:+d}', { X: '||d' }],
      ['X=${U+d}|${WE+d}|${W+d}', { X: '|d|d' }],
      ['X=${W:?why}|${W?why}|${WE?why}', { X: 'win|win|' }],
      ['X=${U:-}', { X: '' }],
      ['X=${U:-${F}}', { X: 'fall' }],
      ['X=${U:-${U2-${U3:-deep}}}.', { X: 'deep.' }],
      ['X=${U:-a$W-$$b}', { X: 'awin-$b' }],
      ['X=${U:-a:-b?c}', { X: 'a:-b?c' }],
      ['X=${U:-{"a":1}}z', { X: '{"a":1}z' }],
      ['X=${U-{}', { X: '{' }],
      ['X=${U-{}}', { X: '{}' }],
      ['X=${U-{}} x }', { X: '{}} x ' }],
      ['X=${U-a}${U-c}}', { X: 'ac}' }],
      ['X="${U:-a\\tb}"', { X: 'a\tb' }],
      ['X="${U:-\\"q\\"}"', { X: '"q"' }],
      ['X="a\n$W\n${F}"', { X: 'a\nwin\nfall' }],
      ['X="${U:-a # b}"', { X: 'a # b' }],
    ],
    from,
  );

  test('does not ask for a variable that is not needed, unlike compose 2.26', () => {
    assert.deepEqual(parsed('X=${W:-${U:?why}}${U:+${U:?why}}${W:?${U:?why}}', from), { X: 'winwin' });
  });

  test('does not expand what it has expanded', () => {
    assert.deepEqual(parsed('X=$W', lookups({ W: '${U:?no} $$' })), { X: '${U:?no} $$' });
  });
});

describe('what cannot be read', () => {
  const cases: readonly [text: string, message: string | RegExp][] = [
    ['A B=1', 'sexy/.env:1: "B" cannot be after "A" in a variable\'s name; write NAME=value'],
    ['A=1\n\n# c\n%B=2', 'sexy/.env:4: "%" cannot be in a variable\'s name; write NAME=value'],
    ['A=1\n🐳=2', /^sexy\/\.env:2: "🐳" cannot/],
    ['lol$wut', /^sexy\/\.env:1: "\$" cannot be after "lol"/],
    ['A=1\n=v', 'sexy/.env:2: no variable\'s name before "="; write NAME=value'],
    [': v', /no variable's name before ":"/],
    [
      'A="x\ny\n',
      'sexy/.env:1: the value of A cannot be read: the quote " is not closed; add it at the value\'s end',
    ],
    ["B=1\r\nA='x\\'", /^sexy\/\.env:2: the value of A cannot be read: the quote ' is not closed/],
    [
      'A="x\ny"\nB=${U:?set it}',
      'sexy/.env:3: the value of B cannot be read: it needs the variable U: set it',
    ],
    ['B=${U?no $$ ${D-d}}', /needs the variable U: no \$ d$/],
    ['B=${U:?}', /needs the variable U; set it$/],
    ['E=\nB=${E:?empty}', /^sexy\/\.env:2: .*needs the variable E: empty$/],
    ['A=${', /holds a bad "\$\{…\}"; write \$\{NAME\} or \$\{NAME:-default\}, or \$\$ for a plain \$$/],
    ['A=${}', /holds a bad/],
    ['A=${B', /holds a bad/],
    ['A=${B-x', /holds a bad/],
    ['A=}${B-x', /holds a bad/],
    ['A=${1}', /holds a bad/],
    ['A=${B C}', /holds a bad/],
    ['A=${B:}', /holds a bad/],
    ['A=${B:=x}', /holds a bad/],
    ['A=${B!}', /holds a bad/],
    ['A=${U:-${}}', /holds a bad/],
    ['A="${U:-x\ny}"', /holds a bad/],
    ['A=x\0y', /the value of A cannot be read: it holds a NUL/],
    ['A="x\\0000y"', /it holds a NUL/],
    [`A=${'${A-'.repeat(200)}${'}'.repeat(200)}`, /nested too deep/],
  ];
  for (const [text, message] of cases) {
    test(`refuses ${JSON.stringify(text).slice(0, 40)}`, () => {
      assertFails(text, message);
    });
  }

  test('never shows a value', () => {
    for (const text of ['A="hunter2', 'A=hunter2${', 'A=${B:hunter2', 'A=hunter2\0', 'A=hunter2${U:?x}']) {
      assertFails(text, /^(?!.*hunter2)/);
    }
  });
});

describe('any file', () => {
  test('comes back from single quotes as it was', () => {
    const values = fc.string({ unit: 'binary' }).filter((value) => !/['\\\0]/.test(value));
    fc.assert(
      fc.property(fc.array(values), (all) => {
        const text = all.map((value, index) => `V${index}='${value}'`).join('\n');
        assert.deepEqual(Object.values(parsed(text)), all);
      }),
    );
  });

  test('comes back from double quotes once escaped', () => {
    const values = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));
    fc.assert(
      fc.property(values, (value) => {
        assert.equal(parsed(`A="${value.replaceAll(/["\\$]/g, '\\$&')}"`)['A'], value);
      }),
    );
  });

  test('is read or refused with its line, and nothing else', () => {
    const unit = fc.constantFrom(
      'A',
      '=',
      '$',
      '{',
      '}',
      ':-',
      '?',
      '"',
      "'",
      '\\',
      '\n',
      ' ',
      '#',
      ':',
      'export ',
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 25 }), (units) => {
        try {
          parsed(units.join(''));
        } catch (error) {
          assert.ok(error instanceof KomposeError, String(error));
          assert.match(error.message, /^\.env:\d+: /);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test('is read in linear time', () => {
    const start = process.cpuUsage();
    const text = [
      Array.from({ length: 20_000 }, (_, index) => `K${index}=v${index}`).join('\n'),
      `S=${' '.repeat(200_000)}x`,
      `R=${'${U-x}'.repeat(20_000)}`,
      `Q="${'\\\\'.repeat(100_000)}"`,
    ].join('\n');
    assert.equal(parseEnvFile(text, nowhere, '.env').size, 20_003);
    const { user } = process.cpuUsage(start);
    assert.ok(user < 3_000_000, `took ${user} µs of CPU`);
  });
});
