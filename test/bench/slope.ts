/** A pair of an x and its y. */
export type Point = readonly [x: number, y: number];

/** A straight line through points, by least squares. */
export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** The slope is that, give or take so much, with 95 % confidence; Infinity with fewer than four points. */
  readonly within: number;
}

/** Throws a RangeError if there are not at least two different x. */
export function slope(points: readonly Point[]): Line {
  const count = points.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const spread = sum(points.map(([x]) => (x - meanX) ** 2));
  if (!(spread > 0)) throw new RangeError('a line needs points of at least two different x');
  const together = sum(points.map(([x, y]) => (x - meanX) * (y - meanY)));
  const steepness = together / spread;
  const intercept = meanY - steepness * meanX;
  const rest = sum(points.map(([x, y]) => (y - intercept - steepness * x) ** 2));
  const free = count - 2;
  const within = free < 2 ? Infinity : studentT(free) * Math.sqrt(rest / free / spread);
  return { slope: steepness, intercept, within };
}

/**
 * The line through the logarithms: y grows with x to the power of its `slope` (0: not at all, 1: in proportion).
 * Throws a RangeError of numbers that have no logarithm.
 */
export function powerSlope(points: readonly Point[]): Line {
  if (points.some(([x, y]) => !(x > 0 && y > 0))) throw new RangeError('logarithms need positive numbers');
  return slope(points.map(([x, y]) => [Math.log10(x), Math.log10(y)]));
}

/**
 * Points gathered into `count` stretches of equal length in x, each given by its means. What is sampled every second
 * follows from what it was a second before; a line through stretches does not take each sample for news.
 */
export function inStretches(points: readonly Point[], count: number): Point[] {
  const xs = points.map(([x]) => x);
  const first = Math.min(...xs);
  const length = (Math.max(...xs) - first) / count;
  const stretches = Array.from({ length: count }, (): Point[] => []);
  for (const point of points)
    stretches[Math.min(count - 1, Math.floor((point[0] - first) / length))]?.push(point);
  return stretches
    .filter((stretch) => stretch.length > 0)
    .map((stretch) => [mean(stretch.map(([x]) => x)), mean(stretch.map(([, y]) => y))]);
}

/**
 * What 97.5 % of Student's t with so many degrees of freedom lie below, to 1 % from three of them on: the series of
 * Cornish and Fisher around the normal distribution (Abramowitz and Stegun, 26.7.5).
 */
function studentT(free: number): number {
  const z = 1.959964;
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + first / free + second / free ** 2 + third / free ** 3;
}

function sum(all: readonly number[]): number {
  return all.reduce((total, one) => total + one, 0);
}

function mean(all: readonly number[]): number {
  return sum(all) / all.length;
}
