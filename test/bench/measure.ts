/** A measurement: what it is about, and how to take it. */
export interface Bench<Result = unknown> {
  readonly about: string;
  /** It takes so long, or so much, that it is not one of all: it is measured when it is named. */
  readonly isOnRequest?: boolean;
  run(report: (line: string) => void): Promise<Result>;
  /** Of what `run` gave: what docs/performance.md says, in Markdown; without it, what was reported. */
  readonly inDocs?: (result: Result) => string;
  /** Of what `run` gave: its rows in the table of targets. */
  readonly targets?: (result: Result) => readonly Target[];
}

/** What was aimed at, and how near it is. */
export interface Target {
  /** `1,000 light agents, run and audit durable: time of the bare exchange`. */
  readonly what: string;
  /** `at most 3`. */
  readonly limit: string;
  /** `9.65`. */
  readonly measured: string;
  readonly isMet: boolean;
}

/** Milliseconds of several runs. */
export interface Samples {
  readonly name: string;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly all: readonly number[];
}

/** Runs each in turn, `rounds` times after one round that does not count, so that drift hits all alike. */
export async function measureInTurn(
  rounds: number,
  subjects: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<Record<string, Samples>> {
  const times = new Map<string, number[]>(Object.keys(subjects).map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, subject] of Object.entries(subjects)) {
      const startMs = performance.now();
      await subject();
      if (round >= 0) times.get(name)?.push(performance.now() - startMs);
    }
  }
  return Object.fromEntries([...times].map(([name, all]) => [name, summarise(name, all)]));
}

/** Of any measure, although they are called milliseconds. */
export function summarise(name: string, all: readonly number[]): Samples {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return {
    name,
    all,
    medianMs: at(Math.floor(sorted.length / 2)),
    minMs: at(0),
    maxMs: at(sorted.length - 1),
  };
}

/** `name  123 ms (100 to 150)`. */
export function describe({ name, medianMs, minMs, maxMs }: Samples): string {
  return `${name.padEnd(40)} ${medianMs.toFixed(0).padStart(6)} ms  (${minMs.toFixed(0)} to ${maxMs.toFixed(0)})`;
}

/** `123 (100–150)`. */
export function describeWithin({ medianMs, minMs, maxMs }: Samples): string {
  return `${medianMs.toFixed(0)} (${minMs.toFixed(0)}–${maxMs.toFixed(0)})`;
}
