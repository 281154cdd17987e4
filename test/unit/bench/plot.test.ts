import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaleOf, tickText } from '../../bench/axis.ts';
import { plotSvg, type Plot } from '../../bench/plot.ts';
import type { Point } from '../../bench/slope.ts';

const plot: Plot = {
  title: 'Cost & <more>',
  x: { label: 'agents', isLog: true },
  y: { label: 'time, ms' },
  series: [
    {
      name: 'kompose',
      points: [
        [10, 5],
        [100, 10],
        [1000, 20],
      ],
    },
    {
      name: 'fit',
      isDashed: true,
      points: [
        [10, 6],
        [1000, 18],
      ],
    },
  ],
};

/** Where the lines of an SVG go, in pixels. */
function lines(svg: string): Point[][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, path = '']) =>
    path.split(' ').map((pair): Point => {
      const [left = Number.NaN, top = Number.NaN] = pair.split(',').map(Number);
      return [left, top];
    }),
  );
}

test('draws each series where its values are', () => {
  const [measured = [], fit = []] = lines(plotSvg(plot));
  assert.deepEqual(measured, [
    [76, 269],
    [356, 194],
    [636, 44],
  ]);
  assert.equal(fit.length, 2);
});

test('writes title, units, ticks and legend, with nothing in them that would be taken for SVG', () => {
  const svg = plotSvg(plot);
  const texts = new Set([...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, content]) => content));
  for (const wanted of [
    'Cost &amp; &lt;more&gt;',
    'agents',
    'time, ms',
    '10',
    '1,000',
    '20',
    'kompose',
    'fit',
  ])
    assert.ok(texts.has(wanted), wanted);
  assert.match(svg, /<rect width="100%" height="100%" rx="6" fill="#ffffff"\/>/);
});

test('marks few points with dots, many not, a fit never', () => {
  assert.equal([...plotSvg(plot).matchAll(/<circle /g)].length, 3);
  const many = Array.from({ length: 100 }, (_, index): Point => [index + 1, index]);
  assert.doesNotMatch(plotSvg({ ...plot, series: [{ name: 'many', points: many }] }), /<circle /);
});

test('refuses to draw nothing, and what a logarithm does not have', () => {
  assert.throws(() => plotSvg({ ...plot, series: [] }), /agents: an axis needs finite values/);
  const zero: Plot = { ...plot, series: [{ name: 'zero', points: [[0, 1]] }] };
  assert.throws(() => plotSvg(zero), /agents: a logarithmic axis cannot show 0/);
});

const axes: readonly [what: string, isLog: boolean, fromZero: boolean, values: number[], ticks: number[]][] =
  [
    ['a linear axis', false, true, [3, 57], [0, 10, 20, 30, 40, 50, 60]],
    ['one of fractions', false, true, [0.1, 0.55], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]],
    ['one that does not begin at zero', false, false, [105, 400], [150, 200, 250, 300, 350, 400]],
    ['one of values below zero', false, true, [-3, 3], [-3, -2, -1, 0, 1, 2, 3]],
    ['one of a single value', false, true, [50], [0, 10, 20, 30, 40, 50]],
    ['one of nothing but zeros', false, true, [0, 0], [0, 0.2, 0.4, 0.6, 0.8, 1]],
    ['a logarithmic axis', true, true, [1, 1e6], [1, 10, 100, 1e3, 1e4, 1e5, 1e6]],
    ['a short logarithmic one', true, true, [3, 40], [2, 5, 10, 20, 50]],
    ['one of a single power', true, true, [10, 10], [10, 20]],
  ];
for (const [what, isLog, fromZero, values, ticks] of axes) {
  test(`finds round ticks for ${what}`, () => {
    const scale = scaleOf({ label: 'any', isLog }, values, fromZero);
    assert.deepEqual(scale.ticks, ticks);
    for (const value of values) assert.ok(scale.at(value) >= 0 && scale.at(value) <= 1);
  });
}

test('writes numbers as short as they can be read', () => {
  assert.deepEqual([0, 0.05, 1000, 99_999, 250_000, 1e6, 1e9].map(tickText), [
    '0',
    '0.05',
    '1,000',
    '99,999',
    '250K',
    '1M',
    '1B',
  ]);
});
