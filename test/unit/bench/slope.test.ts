import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inStretches, powerSlope, slope, type Point } from '../../bench/slope.ts';

function near(actual: number, expected: number, within = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= within, `${String(actual)} is not ${String(expected)}`);
}

test('finds the line that points lie on', () => {
  const line = slope([0, 1, 2, 3].map((x): Point => [x, 3 * x - 2]));
  near(line.slope, 3);
  near(line.intercept, -2);
  near(line.within, 0);
});

test('says how sure a slope is', () => {
  // By hand: residuals -0.1, 0.2, -0.1, 0 squared to 0.06 around 1.3 + 0.6x; t of 2 is 4.30, which the series nearly gives.
  const line = slope([
    [0, 1.2],
    [1, 2.1],
    [2, 2.4],
    [3, 3.1],
  ]);
  near(line.slope, 0.6);
  near(line.intercept, 1.3);
  near(line.within, 4.17 * Math.sqrt(0.06 / 2 / 5), 0.001);
  assert.equal(
    slope([
      [0, 1],
      [1, 2],
      [2, 2],
    ]).within,
    Infinity,
  );
});

test('finds the power with which something grows', () => {
  const line = powerSlope([1, 10, 100].map((x): Point => [x, 7 * x ** 1.5]));
  near(line.slope, 1.5);
  near(10 ** line.intercept, 7, 1e-6);
});

test('refuses points that no line goes through', () => {
  assert.throws(() => slope([[1, 1]]), /two different x/);
  assert.throws(() => powerSlope([[0, 1]]), /positive/);
});

test('gathers samples into stretches of equal length', () => {
  const samples = Array.from({ length: 101 }, (_, index): Point => [index, index * 2]);
  assert.deepEqual(inStretches(samples, 4), [
    [12, 24],
    [37, 74],
    [62, 124],
    [87.5, 175],
  ]);
});
