/** What an axis measures. */
export interface Axis {
  /** With its unit: `time, ms`. */
  readonly label: string;
  readonly isLog?: boolean;
}

/** Where values are along an axis, and what is written on it. */
export interface Scale {
  readonly ticks: readonly number[];
  /** From 0, at the axis's beginning, to 1. */
  readonly at: (value: number) => number;
}

/**
 * A linear axis of y begins at zero, so that what is flat looks flat; one of x where its values do. A logarithmic one
 * goes from tick to tick; values that it cannot show throw a RangeError.
 */
export function scaleOf(axis: Axis, values: readonly number[], fromZero: boolean): Scale {
  if (values.length === 0 || !values.every(Number.isFinite))
    throw new RangeError(`${axis.label}: an axis needs finite values`);
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  if (axis.isLog !== true) return linear(fromZero ? Math.min(0, least) : least, most, fromZero);
  if (least <= 0) throw new RangeError(`${axis.label}: a logarithmic axis cannot show ${String(least)}`);
  return logarithmic(least, most);
}

function linear(least: number, most: number, toTick: boolean): Scale {
  const width = most > least ? most - least : Math.abs(most) || 1;
  const step = roundStep(width / 6);
  const begin = toTick ? Math.floor(least / step) * step : least;
  const end = toTick ? Math.ceil((least + width) / step) * step : least + width;
  const first = Math.ceil(begin / step);
  const count = Math.floor(end / step + 1e-9) - first + 1;
  return {
    ticks: Array.from({ length: count }, (_, index) => exact((first + index) * step)),
    at: (value) => (value - begin) / (end - begin),
  };
}

/** The next of 1, 2, 5, 10, 20, … */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return (([1, 2, 5] as const).find((times) => times * power >= step * (1 - 1e-9)) ?? 10) * power;
}

function logarithmic(least: number, most: number): Scale {
  const factors = most / least > 1000 ? ([1] as const) : ([1, 2, 5] as const);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++)
    ticks.push(...factors.map((factor) => exact(factor * 10 ** power)));
  const begin = ticks.findLast((tick) => tick <= least) ?? least;
  const end = ticks.find((tick) => tick >= most && tick > begin) ?? most;
  const width = Math.log10(end / begin);
  return {
    ticks: ticks.filter((tick) => tick >= begin && tick <= end),
    at: (value) => Math.log10(value / begin) / width,
  };
}

/** Without the last digits that adding up leaves: 0.3, not 0.30000000000000004. */
function exact(value: number): number {
  return Number(value.toPrecision(12));
}

/** `0.05`, `1,000`, `250K`, `1M`. */
export function tickText(value: number): string {
  if (Math.abs(value) < 100_000) return value.toLocaleString('en', { maximumSignificantDigits: 6 });
  return value.toLocaleString('en', { notation: 'compact', maximumSignificantDigits: 4 });
}
