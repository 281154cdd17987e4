import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  hostFilter,
  labelFilter,
  literalTargets,
  matchesTarget,
  matchPattern,
  parsePattern,
} from '../../../common/patterns.ts';
import { assertUsageError } from './usage-error.ts';

const fleet = [
  'prod-2:sexy',
  'prod-1:news',
  'prod-1:sexy',
  'prod-1:proxy',
  'dev:sexy',
  'dev:a,b',
  'dev:x:y',
  'dev:!odd',
  'Prod:Z',
].map((text) => ({ host: text.slice(0, text.indexOf(':')), stack: text.slice(text.indexOf(':') + 1) }));

function matched(pattern: string): string[] {
  return matchPattern(parsePattern(pattern), fleet).map(({ host, stack }) => `${host}:${stack}`);
}

describe('matchPattern', () => {
  const everything = [
    'Prod:Z',
    'dev:!odd',
    'dev:a,b',
    'dev:sexy',
    'dev:x:y',
    'prod-1:news',
    'prod-1:proxy',
    'prod-1:sexy',
    'prod-2:sexy',
  ];
  const cases: readonly [pattern: string, expected: readonly string[]][] = [
    ['sexy', ['dev:sexy', 'prod-1:sexy', 'prod-2:sexy']],
    [':sexy', ['dev:sexy', 'prod-1:sexy', 'prod-2:sexy']],
    ['*', everything],
    ['*:*', everything],
    ['prod-1:*', ['prod-1:news', 'prod-1:proxy', 'prod-1:sexy']],
    ['prod-*:{sexy,news}', ['prod-1:news', 'prod-1:sexy', 'prod-2:sexy']],
    ['{prod-2,dev}:sexy', ['dev:sexy', 'prod-2:sexy']],
    ['prod-[!2]:s*', ['prod-1:sexy']],
    ['*,!*:proxy', everything.filter((name) => name !== 'prod-1:proxy')],
    ['!*:proxy,*', everything.filter((name) => name !== 'prod-1:proxy')],
    ['!sexy', everything.filter((name) => !name.endsWith(':sexy'))],
    ['!sexy,!dev:*,!Prod:*', ['prod-1:news', 'prod-1:proxy']],
    ['sexy,!sexy', []],
    ['sexy,!prod-2:*,prod-2:sexy', ['dev:sexy', 'prod-1:sexy']],
    ['news,sexy,n*', ['dev:sexy', 'prod-1:news', 'prod-1:sexy', 'prod-2:sexy']],
    [' news , ! prod-2:* ,sexy ', ['dev:sexy', 'prod-1:news', 'prod-1:sexy']],
    ['a[,]b', ['dev:a,b']],
    ['dev:x:y', ['dev:x:y']],
    [':x:y', ['dev:x:y']],
    ['*:x:y', ['dev:x:y']],
    ['x[:]y', ['dev:x:y']],
    [':{x:y,z}', ['dev:x:y']],
    [':!odd', ['dev:!odd']],
    ['prod-1:!odd', []],
    ['SEXY', []],
    ['nothing', []],
    ['nothing,news', ['prod-1:news']],
  ];
  for (const [pattern, expected] of cases) {
    test(`takes ${pattern} for ${expected.length} targets, in order`, () => {
      assert.deepEqual(matched(pattern), expected);
    });
  }

  test('names each target once and keeps the first of equal ones as it came', () => {
    const first = { host: 'a', stack: 's', id: 1 };
    const targets = [{ host: 'b', stack: 's', id: 0 }, first, { host: 'a', stack: 's', id: 2 }];
    assert.deepEqual(
      matchPattern(parsePattern('s,*'), targets).map(({ id }) => id),
      [1, 0],
    );
  });

  test('leaves the given targets alone', () => {
    const targets = Object.freeze([
      { host: 'b', stack: 's' },
      { host: 'a', stack: 's' },
    ]);
    assert.equal(matchPattern(parsePattern('*'), targets).length, 2);
  });

  const names = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 3 });
  const targets = fc.array(fc.record({ host: names, stack: names }), { maxLength: 20 });
  const terms = fc.constantFrom('a', '*', 'a*', '?:a', '{a,b}:*', '!b', '!a:*', '!*:a', ':b');
  const patterns = fc.array(terms, { minLength: 1, maxLength: 4 });

  test('gives a sorted set of the targets that matchesTarget takes, whatever the order of terms', () => {
    fc.assert(
      fc.property(patterns, targets, (list, all) => {
        const pattern = parsePattern(list.join(','));
        const found = matchPattern(pattern, all).map(({ host, stack }) => `${host}\0${stack}`);
        const taken = all.filter((target) => matchesTarget(pattern, target));
        assert.deepEqual(new Set(found), new Set(taken.map(({ host, stack }) => `${host}\0${stack}`)));
        assert.equal(new Set(found).size, found.length);
        assert.deepEqual(found, found.toSorted());
        assert.deepEqual(
          matchPattern(parsePattern(list.toReversed().join(',')), all),
          matchPattern(pattern, all),
        );
      }),
    );
  });

  test('takes away with !term exactly what term adds', () => {
    fc.assert(
      fc.property(fc.constantFrom('a', 'a*', '?:a', '{a,b}:*', ':b'), targets, (term, all) => {
        const added = matchPattern(parsePattern(term), all);
        const left = matchPattern(parsePattern(`!${term}`), all);
        assert.equal(added.length + left.length, matchPattern(parsePattern('*'), all).length);
      }),
    );
  });
});

describe('parsePattern', () => {
  const bad: readonly [pattern: string, part: string][] = [
    ['', 'it is empty; for everything write *'],
    ['  ', 'it is empty'],
    [',', 'the term at character 1 is empty'],
    ['a,,b', 'the term at character 3 is empty'],
    ['a, ,b', 'the term at character 3 is empty'],
    ['a,', 'the term at character 3 is empty'],
    ['!', '"!" at character 1 excludes nothing'],
    ['a,!', '"!" at character 3 excludes nothing'],
    ['a,!!b', '"!" at character 3 excludes nothing'],
    ['prod-1:', 'no stack after the ":" at character 7; for every stack write "prod-1:*"'],
    ['a,!b:', 'no stack after the ":" at character 5'],
    [':', 'no stack after the ":" at character 1'],
    ['prod-{1:sexy', 'host and its stack stand together inside braces'],
    ['{a:b,c:d}', 'host and its stack stand together inside braces in "{a:b,c:d}"'],
    ['a,prod-{1,2', '"{" at character 8 is never closed'],
    ['a}:b', '"}" at character 2 closes nothing'],
    ['h:a}', '"}" at character 4 closes nothing'],
    ['a,h:[b', '"[" at character 5 is never closed'],
    ['h:x,h:{}', 'the braces at character 7 are empty'],
    ['h:[b-a]', 'at character 3 runs backwards'],
    ['a\tb', 'the control character at character 2'],
    ['a\n', 'the control character at character 2'],
    [`${'a,'.repeat(2048)}a`, 'more than 4096 characters'],
    [Array.from({ length: 3 }, () => '{a,b}'.repeat(9)).join(','), 'too many names'],
  ];
  for (const [pattern, part] of bad) {
    test(`refuses ${JSON.stringify(pattern).slice(0, 40)}: ${part}`, () => {
      assertUsageError(() => parsePattern(pattern), 'bad pattern "', part);
    });
  }

  test('takes many plain terms', () => {
    assert.equal(parsePattern('{a,b},'.repeat(600).slice(0, -1)).included.length, 600);
  });

  test('parses or refuses any text, and never throws anything else', () => {
    const texts = fc.string({
      unit: fc.constantFrom('a', ':', ',', '!', '{', '}', '[', ']', '*', ' '),
      maxLength: 12,
    });
    fc.assert(
      fc.property(texts, (text) => {
        try {
          matched(text);
        } catch (error) {
          assertUsageError(() => {
            throw error;
          }, 'bad pattern');
        }
      }),
      { numRuns: 3000 },
    );
  });
});

function literals(pattern: string): string[] {
  return literalTargets(parsePattern(pattern)).map(({ hostName, isLiteralHost, host, stack }) => {
    assert.equal(isLiteralHost, hostName !== undefined);
    return `${hostName ?? (host === undefined ? 'any' : 'glob')} ${stack}`;
  });
}

describe('literalTargets', () => {
  const cases: readonly [pattern: string, expected: readonly string[]][] = [
    ['sexy', ['any sexy']],
    [':sexy', ['any sexy']],
    ['prod-1:sexy', ['prod-1 sexy']],
    ['prod-*:sexy', ['glob sexy']],
    ['{prod-1,prod-2}:sexy', ['glob sexy']],
    ['prod-1:{sexy,news}', ['prod-1 sexy', 'prod-1 news']],
    ['prod-1:{sexy,n*}', ['prod-1 sexy']],
    ['prod-1:s{exy,ome}-{1,2}', ['prod-1 sexy-1', 'prod-1 sexy-2', 'prod-1 some-1', 'prod-1 some-2']],
    ['prod-1:*', []],
    ['prod-1:[a]', []],
    ['!prod-1:sexy', []],
    ['a,h:b,*', ['any a', 'h b']],
  ];
  for (const [pattern, expected] of cases) {
    test(`names in full, of ${pattern}: ${expected.join(', ') || 'none'}`, () => {
      assert.deepEqual(literals(pattern), expected);
    });
  }

  test('gives the test of the host', () => {
    const [literal] = literalTargets(parsePattern('prod-*:sexy'));
    assert.equal(literal?.host?.('prod-9'), true);
    assert.equal(literal.host('dev'), false);
  });

  test('leaves what a ! term takes away to matchesTarget', () => {
    const pattern = parsePattern('*:sexy,!prod-2:*');
    assert.equal(matchesTarget(pattern, { host: 'prod-1', stack: 'sexy' }), true);
    assert.equal(matchesTarget(pattern, { host: 'prod-2', stack: 'sexy' }), false);
  });
});

describe('hostFilter', () => {
  const hosts = ['dev', 'prod-1', 'prod-2', 'prod-3'];
  const cases: readonly [filters: readonly string[], expected: readonly string[]][] = [
    [[], hosts],
    [['dev'], ['dev']],
    [['dev,prod-1'], ['dev', 'prod-1']],
    [
      ['dev', 'prod-1'],
      ['dev', 'prod-1'],
    ],
    [['prod-*'], ['prod-1', 'prod-2', 'prod-3']],
    [['prod-{1,3}'], ['prod-1', 'prod-3']],
    [['prod-*,!prod-2'], ['prod-1', 'prod-3']],
    [
      ['!prod-2', 'prod-*'],
      ['prod-1', 'prod-3'],
    ],
    [['!prod-*'], ['dev']],
    [
      ['!dev', '!*-1'],
      ['prod-2', 'prod-3'],
    ],
    [[' dev , !prod-1 '], ['dev']],
    [['none'], []],
  ];
  for (const [filters, expected] of cases) {
    test(`takes ${JSON.stringify(filters)} for ${expected.join(' ') || 'no host'}`, () => {
      assert.deepEqual(hosts.filter(hostFilter(filters)), expected);
    });
  }

  const bad: readonly [filter: string, part: string][] = [
    ['', 'bad --host "": it is empty'],
    ['a,', 'the term at character 3 is empty'],
    ['!', 'excludes nothing'],
    ['a,b:sexy', '":" at character 4 parts a host from a stack'],
    ['prod-{1', '"{" at character 6 is never closed'],
    ['a\0', 'control character'],
  ];
  for (const [filter, part] of bad) {
    test(`refuses ${JSON.stringify(filter)}: ${part}`, () => {
      assertUsageError(() => hostFilter(['fine', filter]), part);
    });
  }
});

describe('labelFilter', () => {
  const cases: readonly [filters: readonly string[], labels: Record<string, string>, expected: boolean][] = [
    [[], {}, true],
    [['env=prod'], { env: 'prod' }, true],
    [['env=prod'], { env: 'dev' }, false],
    [['env=prod'], {}, false],
    [['env!=prod'], { env: 'dev' }, true],
    [['env!=prod'], { env: 'prod' }, false],
    [['env!=prod'], {}, true],
    [['env'], { env: '' }, true],
    [['env'], {}, false],
    [['env='], { env: '' }, true],
    [['env='], {}, false],
    [['env!='], { env: '' }, false],
    [['a=b=c'], { a: 'b=c' }, true],
    [['a=b!=c'], { a: 'b!=c' }, true],
    [['env=prod', 'zone=a'], { env: 'prod', zone: 'a' }, true],
    [['env=prod', 'zone=a'], { env: 'prod', zone: 'b' }, false],
    [['env=prod', 'env!=dev'], { env: 'prod' }, true],
    [['constructor'], {}, false],
    [['constructor!=x'], {}, true],
  ];
  for (const [filters, labels, expected] of cases) {
    test(`${expected ? 'takes' : 'leaves'} ${JSON.stringify(labels)} for ${JSON.stringify(filters)}`, () => {
      assert.equal(labelFilter(filters)(labels), expected);
    });
  }

  for (const text of ['', '=prod', '!=prod', '!env', 'a b=c', 'a=\n']) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assertUsageError(() => labelFilter([text]), 'label');
    });
  }
});
