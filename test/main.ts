import { globSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { PassThrough } from 'node:stream';

/*
 * Runs the tests: `npm test` all of them, `npm test -- unit` or `npm test -- e2e/rig` those whose path holds the
 * word. Each file is a process of its own, four at a time, and more while a processor has nothing to do: those on real
 * hosts come first, the longest before all others, since they wait more than they work; the rest fills what they leave.
 *
 * A file that does not end is killed and fails, by its name. A file that fails is run once more when all others are
 * through, alone: what fails again fails the whole; what passes then depended on the machine's load, and is named at
 * the end as unsteady, which is a bug of the test or of kompose to be looked into.
 */
const atOnce = 4;
/** And this many while there is an idle processor. */
const mostAtOnce = 7;
/** Of all processors' time. */
const idleShare = 0.2;
/** Milliseconds that one file may take, on a machine that is busy. */
const fileLimitMs = 10 * 60_000;

const order = [
  /07-databases|terminal|pace|locks/,
  /contract\/05-hooks/,
  /test\/(?:e2e|contract)\//,
  /test\/integration\//,
  /./,
];
const rank = (file: string): number => order.findIndex((pattern) => pattern.test(file));

/** An event of the test runner. */
interface TestEvent {
  readonly type: string;
  readonly data: unknown;
}

interface FileResult {
  readonly events: readonly TestEvent[];
  readonly failed: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Runs one file to its end, or to its limit. */
async function runFile(file: string): Promise<FileResult> {
  const begin = performance.now();
  const events: TestEvent[] = [];
  let failed = false;
  let counts: Readonly<Record<string, number>> = {};
  const ended = AbortSignal.timeout(fileLimitMs);
  for await (const event of run({ files: [file], signal: ended }) as AsyncIterable<TestEvent>) {
    if (event.type === 'test:fail') failed = true;
    if (event.type === 'test:summary') ({ counts } = event.data as Pick<FileResult, 'counts'>);
    else if (event.type !== 'test:diagnostic') events.push(event);
  }
  if (ended.aborted) {
    const message = `${file} did not end within ${String(fileLimitMs / 60_000)} minutes and was killed`;
    events.push({ type: 'test:stderr', data: { file, message: `${message}\n` } });
  }
  return { events, failed, counts, seconds: Math.round((performance.now() - begin) / 1000) };
}

/** How much of the time since the last call the processors had nothing to do, as a share. */
function idleMeter(): () => number {
  const read = (): { idle: number; all: number } => {
    const times = cpus().map(({ times: each }) => each);
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return {
      idle: sum(times.map(({ idle }) => idle)),
      all: sum(times.flatMap((each) => Object.values(each))),
    };
  };
  let before = read();
  return () => {
    const now = read();
    const share = (now.idle - before.idle) / Math.max(1, now.all - before.all);
    before = now;
    return share;
  };
}

/** Runs the files, `least` at a time, up to `most` where there is an idle processor; hands over the result of each as it ends. */
async function runFiles(
  files: readonly string[],
  { least, most }: { readonly least: number; readonly most: number },
  onResult: (file: string, result: FileResult) => void,
): Promise<void> {
  const queue = files.values();
  const more = new Set<Promise<void>>();
  const runOne = async (): Promise<boolean> => {
    const { value: file, done } = queue.next();
    if (done === true) return false;
    onResult(file, await runFile(file));
    return true;
  };
  const idle = idleMeter();
  const look = setInterval(() => {
    if (idle() < idleShare || more.size >= most - least) return;
    const one = runOne().then(() => void more.delete(one));
    more.add(one);
  }, 1000);
  await Promise.all(
    Array.from({ length: least }, async () => {
      while (await runOne()) continue;
    }),
  );
  clearInterval(look);
  await Promise.all(more);
}

/* Each file's process begins with the same sources: stripped of their types and compiled once for all. */
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '../node_modules/.cache/test');

const words = process.argv.slice(2);
const files = globSync('test/**/*.test.ts')
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) {
  process.stderr.write(`no test file's path holds ${words.join(' or ')}\n`);
  process.exit(1);
}

const report = new PassThrough({ objectMode: true });
const printed = (async () => {
  for await (const text of report.compose(spec)) process.stdout.write(text);
})();
const began = performance.now();
const totals = new Map<string, number>();
const unsteady: string[] = [];
const again = new Set<string>();
const times: { file: string; seconds: number }[] = [];

await runFiles(files, { least: atOnce, most: mostAtOnce }, (file, { events, failed, counts, seconds }) => {
  times.push({ file, seconds });
  for (const [name, count] of Object.entries(counts)) totals.set(name, (totals.get(name) ?? 0) + count);
  if (failed) again.add(file);
  for (const event of events) report.write(event);
});
await runFiles([...again], { least: 1, most: 1 }, (file, { events, failed }) => {
  report.write({
    type: 'test:stdout',
    data: { file, message: `\n${file} failed, and was run once more:\n` },
  });
  for (const event of events) report.write(event);
  if (failed) process.exitCode = 1;
  else unsteady.push(file);
});

const seconds = ((performance.now() - began) / 1000).toFixed(0);
const summary = [...totals]
  .filter(([name]) => name !== 'topLevel')
  .map(([name, count]) => `${name} ${String(count)}`);
for (const message of [...summary, `${String(files.length)} files in ${seconds} s`])
  report.write({ type: 'test:diagnostic', data: { nesting: 0, message } });
report.end();
await printed;
if (words.length === 0) {
  const slowest = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10);
  for (const { file, seconds: took } of slowest)
    process.stdout.write(`${String(took).padStart(4)} s  ${file}\n`);
}
for (const file of unsteady) process.stdout.write(`unsteady: ${file} failed at first and passed alone\n`);
/* What a killed file left behind may hold its output open, and with it this process. */
process.exit();
