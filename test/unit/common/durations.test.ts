import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration, parseDuration } from '../../../common/durations.ts';
import { assertUsageError } from './usage-error.ts';

const parsed: readonly [text: string, ms: number][] = [
  ['500ms', 500],
  ['3s', 3000],
  ['1m30s', 90_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['1d2h3m4s5ms', 93_784_005],
  ['90', 90_000],
  ['0', 0],
  ['0s', 0],
  ['1.5', 1500],
  ['1.5s', 1500],
  ['0.25h', 900_000],
  ['1.5h30m', 7_200_000],
  ['007s', 7000],
  ['1m05s', 65_000],
  ['0.6ms', 1],
  ['24h60m', 90_000_000],
];
for (const [text, ms] of parsed) {
  test(`reads ${text} as ${ms} ms`, () => {
    assert.equal(parseDuration(text), ms);
  });
}

const refused: readonly [text: string, part: string][] = [
  ['', 'bad duration "": it is empty'],
  ['-1s', 'it is negative'],
  ['-', 'it is negative'],
  ['+1s', '"+1s" is not a number with a unit'],
  ['s', '"s" is not a number with a unit'],
  ['abc', '"abc" is not a number with a unit'],
  ['.5s', '".5s" is not a number with a unit'],
  ['1.s', '1 has no unit'],
  ['1.2.3s', '1.2 has no unit'],
  ['5y', 'the unit "y" is unknown'],
  ['5S', 'the unit "S" is unknown'],
  ['5 s', 'the unit " s" is unknown'],
  ['1m30', '30 has no unit'],
  ['1m 30s', 'the unit "m " is unknown'],
  ['1e3', 'the unit "e" is unknown'],
  ['0x10', 'the unit "x" is unknown'],
  ['1s-2s', 'the unit "s-" is unknown'],
  [' ', '" " is not a number with a unit'],
  ['3s\n', 'is unknown'],
  ['Infinity', 'is not a number'],
  ['99999999999999999999', 'it is too long'],
  [`${'9'.repeat(400)}s`, 'it is too long'],
  ['104249991375d', 'it is too long'],
];
for (const [text, part] of refused) {
  test(`refuses ${JSON.stringify(text).slice(0, 30)} and shows how to write it`, () => {
    assertUsageError(() => parseDuration(text), part, '1m30s');
  });
}

const formatted: readonly [ms: number, text: string][] = [
  [0, '0ms'],
  [-5, '0ms'],
  [49, '49ms'],
  [99.4, '99ms'],
  [100, '0.1s'],
  [800, '0.8s'],
  [12_300, '12.3s'],
  [59_949, '59.9s'],
  [59_950, '1m00s'],
  [65_000, '1m05s'],
  [3_599_499, '59m59s'],
  [3_599_500, '1h00m'],
  [7_380_000, '2h03m'],
  [86_369_999, '23h59m'],
  [86_370_000, '1d00h'],
  [100_800_000, '1d04h'],
  [8_640_000_000, '100d00h'],
];
for (const [ms, text] of formatted) {
  test(`shows ${ms} ms as ${text}`, () => {
    assert.equal(formatDuration(ms), text);
  });
}

test('reads back what it shows, to half of the smallest unit shown', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 * 365 * 86_400_000 }), (ms) => {
      const shown = formatDuration(ms);
      const [last = ''] = /[a-z]+$/.exec(shown) ?? [];
      const unit = { ms: 1, s: shown.includes('m') ? 1000 : 100, m: 60_000, h: 3_600_000 }[last] ?? 0;
      assert.ok(Math.abs(parseDuration(shown) - ms) <= unit / 2, `${ms} is shown as ${shown}`);
    }),
  );
});

test('shows what it shows unchanged when read and shown again', () => {
  fc.assert(
    fc.property(fc.nat(4_000_000_000), (ms) => {
      const shown = formatDuration(ms);
      assert.equal(formatDuration(parseDuration(shown)), shown);
    }),
  );
});

test('adds up its parts', () => {
  const counts = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99), fc.nat(99), fc.nat(999));
  fc.assert(
    fc.property(counts, ([d, h, m, s, ms]) => {
      const expected = (((d * 24 + h) * 60 + m) * 60 + s) * 1000 + ms;
      assert.equal(parseDuration(`${d}d${h}h${m}m${s}s${ms}ms`), expected);
    }),
  );
});
