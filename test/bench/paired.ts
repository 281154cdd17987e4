/** Milliseconds that each subject took in one round, by name. */
export type Round<Name extends string> = Readonly<Record<Name, number>>;

/** What a figure is in all rounds, and where it lies with 95 % certainty. */
export interface Estimate {
  readonly value: number;
  readonly from: number;
  readonly to: number;
}

interface RoundsOptions {
  /** No further round begins after so long. */
  readonly budgetMs: number;
  readonly fewest: number;
}

/**
 * Runs all subjects in each round, each time in another order, so that neither the machine's drift nor what went before
 * favours one. The first round fills the caches and does not count.
 */
export async function measureRounds<Name extends string>(
  subjects: Readonly<Record<Name, () => Promise<unknown>>>,
  { budgetMs, fewest }: RoundsOptions,
): Promise<Round<Name>[]> {
  const names = Object.keys(subjects) as Name[];
  const rounds: Round<Name>[] = [];
  const endMs = performance.now() + budgetMs;
  for (let at = 0; at <= fewest || performance.now() < endMs; at++) {
    const times: Partial<Record<Name, number>> = {};
    for (const name of orderOf(names, at)) {
      const startMs = performance.now();
      await subjects[name]();
      times[name] = performance.now() - startMs;
    }
    if (at > 0) rounds.push(times as Round<Name>);
  }
  return rounds;
}

/** Turned by one each round; each second time around backwards, so that each comes before and after each other. */
function orderOf<Name>(names: readonly Name[], round: number): Name[] {
  const start = round % names.length;
  const turned = [...names.slice(start), ...names.slice(0, start)];
  return Math.floor(round / names.length) % 2 === 0 ? turned : turned.toReversed();
}

/** Of an odd or even number of values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return (at(Math.ceil(half) - 1) + at(Math.floor(half))) / 2;
}

const resamples = 2_000;

/**
 * A figure of all rounds, with the middle 95 % of what it is when as many rounds are drawn from them again and again
 * (the bootstrap's percentile interval). The draws are the same each time.
 */
export function estimate<Name extends string>(
  rounds: readonly Round<Name>[],
  figure: (rounds: readonly Round<Name>[]) => number,
): Estimate {
  const random = xorshift(0x9e3779b9);
  const figures = Array.from({ length: resamples }, () => {
    const drawn = rounds.map(() => rounds[Math.floor(random() * rounds.length)]);
    return figure(drawn.filter((round) => round !== undefined));
  }).toSorted((a, b) => a - b);
  const at = (share: number): number => figures[Math.floor(share * (resamples - 1))] ?? Number.NaN;
  return { value: figure(rounds), from: at(0.025), to: at(0.975) };
}

/** Numbers from 0 to below 1 (Marsaglia 2003). */
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** `1.12 (1.05–1.20)`. */
export function describeEstimate({ value, from, to }: Estimate, digits: number): string {
  return `${value.toFixed(digits)} (${from.toFixed(digits)}–${to.toFixed(digits)})`;
}
