import type { Random } from './random.ts';

/** One command line, and how it is disturbed. */
export interface Move {
  readonly argv: readonly string[];
  readonly input: string | undefined;
  /** What happens to the client, this long after its start; it is left alone if absent. */
  readonly interrupt: { readonly kind: Interrupt; readonly afterMs: number } | undefined;
}

export type Interrupt = 'Ctrl-C' | 'Ctrl-C twice' | 'kill' | 'cancel';

type Words = readonly [string, ...string[]];

/** Of every stack. Those of `endless` end by an interrupt only. */
const commands: readonly [Words, ...Words[]] = [
  ['up', '-d'],
  ['up', '-d'],
  ['up', '-d', '--force-recreate'],
  ['up', '-d', '--wait'],
  ['down'],
  ['down', '--timeout', '1'],
  ['start'],
  ['stop'],
  ['stop', '--timeout', '0'],
  ['restart'],
  ['build'],
  ['pull'],
  ['push'],
  ['create'],
  ['kill'],
  ['pause'],
  ['unpause'],
  ['rm', '-f'],
  ['rm', '-sf'],
  ['ps'],
  ['ps', '-a', '--format', 'json'],
  ['logs'],
  ['logs', '--tail', '3'],
  ['top'],
  ['config'],
  ['config', '--services'],
  ['images'],
  ['stats', '--no-stream'],
  ['version'],
  ['ls'],
  ['db:export'],
  ['db:export', '--format', 'sql.gz'],
  ['db:export', '--format', 'sql.zst'],
  ['db:import'],
  ['db:import'],
  ['db:import', '--in-place'],
  ['db:import', 'no-such.sql'],
  ['db:cleanup'],
  ['db:cleanup', '--keep', '2'],
  ['nonsense'],
];

const ofIdle: readonly [Words, ...Words[]] = [
  ['exec', '-T', 'api', 'sh', '-c', 'echo out; echo err >&2; sleep 1; exit 3'],
  ['exec', '-T', 'api', 'cat'],
  ['run', '--rm', '-T', 'api', 'echo', 'once'],
  ['run', '--rm', '-T', 'api', 'cat'],
  ['scale', 'api=2'],
  ['port', 'api', '80'],
];

const endless: readonly [Words, ...Words[]] = [
  ['up'],
  ['logs', '-f'],
  ['events'],
  ['stats'],
  ['attach', 'api'],
  ['wait', 'api'],
  ['exec', '-T', 'api', 'sleep', '1000'],
  ['exec', '-T', 'api', 'sh', '-c', 'trap "" TERM INT HUP; while :; do sleep 1; done'],
  ['run', '--rm', '-T', 'api', 'sleep', '1000'],
];

/** The next command line of the sequence. Pure but for the generator. */
export function nextMove(random: Random): Move {
  const kind = random.next();
  if (kind < 0.15) return { ...onOne(random, random.pick(endless)), interrupt: anInterrupt(random) };
  const interrupt = random.isTrue(0.4) ? anInterrupt(random) : undefined;
  if (kind < 0.3) return { ...onOne(random, random.pick(ofIdle)), interrupt };
  const pattern = random.pick(['*', 'east:*', '*:web', 'shop', 'west:shop', 'idle', 'east:web', '*,!*:shop']);
  const argv = [...options(random), pattern, ...random.pick(commands)];
  return { argv, input: undefined, interrupt };
}

function onOne(random: Random, words: Words): Omit<Move, 'interrupt'> {
  const stack = `${random.pick(['east', 'west'])}:${words[0] === 'up' ? random.pick(['web', 'idle']) : 'idle'}`;
  const input = words.at(-1) === 'cat' ? 'line\n'.repeat(random.between(0, 50_000)) : undefined;
  return { argv: [...options(random).filter((word) => word !== '--detach'), stack, ...words], input };
}

function options(random: Random): string[] {
  return [
    '--yes',
    ...(random.isTrue(0.15) ? ['--timeout', random.pick(['300ms', '1s', '3s'])] : []),
    ...(random.isTrue(0.15) ? ['--env', 'TAG=a b'] : []),
    ...(random.isTrue(0.1) ? ['--parallel', '1'] : []),
    ...(random.isTrue(0.1) ? ['--batch', '50%', '--batch-wait', '200ms'] : []),
    ...(random.isTrue(0.1) ? ['--max-failures', '0'] : []),
    ...(random.isTrue(0.1) ? ['--dry-run'] : []),
    ...(random.isTrue(0.1) ? ['--detach'] : []),
    ...(random.isTrue(0.3) ? ['-o', 'json'] : []),
  ];
}

function anInterrupt(random: Random): NonNullable<Move['interrupt']> {
  const kind = random.pick(['Ctrl-C', 'Ctrl-C', 'Ctrl-C twice', 'kill', 'cancel'] as const);
  return { kind, afterMs: random.between(50, 2_500) };
}
