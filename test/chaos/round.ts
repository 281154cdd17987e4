import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { jsonLines, readStackFile, until, type JsonLine } from '../e2e/support.ts';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose as release } from '../fleet/release.ts';
import { linesAMegabyte, NumberedOutput } from './numbered-output.ts';
import { make, type Trouble } from './troubles.ts';

/** What must not happen, counted. */
export interface Counts {
  startedTwice: number;
  lostBytes: number;
  doubledBytes: number;
  /** Targets without an end state, or another than `succeeded`. */
  notSucceeded: number;
  auditMissing: number;
}

export const none: Counts = {
  startedTwice: 0,
  lostBytes: 0,
  doubledBytes: 0,
  notSucceeded: 0,
  auditMissing: 0,
};

interface Round {
  readonly megabytes: number;
  readonly trouble: Trouble;
}

/** What one party was shown of a run. */
interface Seen {
  run: string | undefined;
  targets: readonly { readonly task: string; readonly host: string }[];
  readonly outputs: Map<string, NumberedOutput>;
  readonly ends: Map<string, JsonLine>;
}

const runLimitMs = 180_000;

/**
 * One run of the stack `chaos` over all hosts, and what became of it: the counts, and a line for each fault.
 * `undefined` for a run that was never accepted, since whoever asked, or was asked, was killed before.
 */
export async function playRound(
  fleet: KomposeFleet,
  { megabytes, trouble }: Round,
): Promise<{ counts: Counts; faults: string[] } | undefined> {
  const lines = megabytes * linesAMegabyte;
  const before = await newestRun(fleet);
  const argv = ['-o', 'json', '-e', `LINES=${lines}`, '--offline', 'wait=2m', 'chaos', 'up', '-d'];
  const client = spawnClient(fleet, argv);
  const begun = Promise.withResolvers<void>();
  const watched = see(client.stdout, begun.resolve);
  if (trouble.since === 'begun') await Promise.race([begun.promise, client]);
  await pause(trouble.afterMs);
  await make(trouble, fleet, client);
  const { exitCode } = await client;
  const seen = await watched;
  const run = seen.run ?? (await untilAnswered(() => newestRun(fleet)));
  if (run === undefined || run === before) return undefined;
  await until(`run ${run} has ended`, async () => (await stateOf(fleet, run)) !== 'running', runLimitMs);

  const faults: string[] = [];
  const counts = { ...none };
  const later = spawnClient(fleet, ['-o', 'json', 'runs', 'attach', run]);
  const kept = await see(later.stdout);
  await later;
  judge(kept, lines, 'runs attach', counts, faults);
  if (trouble.kind !== 'client killed') {
    judge(seen, lines, 'the client', counts, faults);
    if (exitCode !== 0) faults.push(`the client ended with ${exitCode}`);
  }
  await judgeStarts(fleet, kept, counts, faults);
  await judgeAudit(fleet, run, kept.targets.length, counts, faults);
  return { counts, faults };
}

/** Its output goes by: of a large run it is more than a test keeps in memory. */
function spawnClient(fleet: KomposeFleet, argv: readonly string[]) {
  return execa(process.execPath, [release, ...argv], {
    env: { KOMPOSE_HOME: fleet.home },
    reject: false,
    buffer: false,
    stdin: 'ignore',
    stderr: 'ignore',
    timeout: runLimitMs,
  });
}

async function see(stdout: Readable, onBegun = (): void => undefined): Promise<Seen> {
  const seen: Seen = { run: undefined, targets: [], outputs: new Map(), ends: new Map() };
  for await (const line of createInterface({ input: stdout })) {
    // The last line of a client that was killed may be cut off.
    if (!line.endsWith('}')) break;
    const event = JSON.parse(line) as JsonLine;
    seen.run ??= event.run;
    if (event.type === 'run.started') {
      seen.targets = event.targets ?? [];
      onBegun();
    }
    if (event.type === 'task.finished') seen.ends.set(event.task ?? '', event);
    if (event.type === 'output' && event.step === 'pre' && event.stream === 'stdout') {
      const output = seen.outputs.get(event.task ?? '') ?? new NumberedOutput();
      seen.outputs.set(event.task ?? '', output);
      output.push(event.data ?? '');
    }
  }
  return seen;
}

function judge(seen: Seen, lines: number, who: string, counts: Counts, faults: string[]): void {
  for (const { task, host } of seen.targets) {
    const { lostBytes, doubledBytes } = (seen.outputs.get(task) ?? new NumberedOutput()).finish(lines);
    counts.lostBytes += lostBytes;
    counts.doubledBytes += doubledBytes;
    if (lostBytes > 0) faults.push(`${who}: ${lostBytes} bytes of ${host} are lost`);
    if (doubledBytes > 0) faults.push(`${who}: ${doubledBytes} bytes of ${host} came twice`);
    const end = seen.ends.get(task);
    if (end?.state === 'succeeded') continue;
    counts.notSucceeded++;
    faults.push(`${who}: ${host} ended ${end?.state ?? 'without a state'}: ${end?.reason ?? ''}`);
  }
}

async function judgeStarts(fleet: KomposeFleet, seen: Seen, counts: Counts, faults: string[]): Promise<void> {
  for (const { task, host } of seen.targets) {
    const started = (await readStackFile(fleet, host, 'chaos', 'started')).split('\n');
    const times = started.filter((line) => line === task).length;
    if (times > 1) {
      counts.startedTwice++;
      faults.push(`${host} started its task ${times} times`);
    }
  }
}

/** A run's records: its start and end, and of each task the two hooks, the action and the end, each once. */
async function judgeAudit(
  fleet: KomposeFleet,
  run: string,
  targets: number,
  counts: Counts,
  faults: string[],
): Promise<void> {
  const { stdout } = await fleet.kompose(['audit', 'ls', '--run', run, '-o', 'json']);
  const found = Map.groupBy(jsonLines(stdout), ({ type }) => type);
  const expected = {
    'run.started': 1,
    'hook.finished': 2 * targets,
    'action.finished': targets,
    'task.finished': targets,
    'run.finished': 1,
  };
  for (const [type, times] of Object.entries(expected)) {
    const recorded = found.get(type)?.length ?? 0;
    if (recorded === times) continue;
    counts.auditMissing += Math.abs(times - recorded);
    faults.push(`the audit has ${recorded} records ${type}, not ${times}`);
  }
}

async function newestRun(fleet: KomposeFleet): Promise<string | undefined> {
  const { stdout, stderr, exitCode } = await fleet.kompose(['runs', 'ls', '--limit', '1', '-o', 'json']);
  if (exitCode !== 0) throw new Error(stderr);
  return jsonLines(stdout)[0]?.run;
}

/** `running` also where nobody answers. */
async function stateOf(fleet: KomposeFleet, run: string): Promise<string> {
  const { stdout } = await fleet.kompose(['runs', 'show', run, '-o', 'json']);
  return jsonLines(stdout)[0]?.state ?? 'running';
}

/** The controller may have come up only just now. */
async function untilAnswered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  let answer: { value: Answer } | undefined;
  await until('the controller answers', async () => {
    answer = await ask().then(
      (value) => ({ value }),
      () => undefined,
    );
    return answer !== undefined;
  });
  if (answer === undefined) throw new Error('unreachable: until() has seen an answer');
  return answer.value;
}
