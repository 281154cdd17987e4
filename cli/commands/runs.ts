import { jsonLine } from '../../common/printable.ts';
import { Option } from 'commander';
import type { GetRunResponse, Run, Step, Task } from '../../proto/gen/kompose/v1/fleet.ts';
import { formatDuration } from '../../common/durations.ts';
import { sizeText } from '../../common/size-text.ts';
import { KomposeError } from '../../common/errors.ts';
import { say, type Call } from '../call.ts';
import { follow } from '../follow.ts';
import type { Noun } from '../noun.ts';
import { confirmHelp, withVariable } from '../options.ts';
import { retry } from './retry.ts';
import { limitOption, showListing, type Listing } from '../listing.ts';
import { fieldLines } from '../fields.ts';
import { shellQuote } from '../output/shell-quote.ts';
import { table } from '../output/table.ts';
import { briefTimeText, timeOrNull, timeText } from '../output/values.ts';

export const runs: Noun = {
  name: 'runs',
  summary: 'What was asked of the fleet. An ID may be shortened as long as it means one run.',
  verbs: [
    {
      name: 'ls',
      summary: 'list the runs, newest first',
      isDefault: true,
      options: () => [limitOption()],
      run: (call, _, { limit = 0 }) => showListing(call, runListing, (client) => client.listRuns({ limit })),
    },
    {
      name: 'show',
      words: '<id>',
      summary: "a run's targets, their end states and steps",
      run: async (call, [runId = '']) => {
        using fleet = await call.connect();
        return show(
          call,
          await fleet.ask<GetRunResponse>((answer) => fleet.client.getRun({ runId }, answer)),
        );
      },
    },
    {
      name: 'attach',
      words: '<id>',
      summary: 'all output from the start, then live; Ctrl-C leaves the run alone',
      run: (call, [runId = '']) => follow(call, runId, 'leaves'),
    },
    {
      name: 'cancel',
      words: '<id>',
      summary: 'ask every task of the run to end',
      run: async (call, [runId = '']) => cancel(call, runId),
    },
    {
      name: 'retry',
      words: '<id>',
      summary: 'run again what did not succeed: the same command and options, only those targets',
      options: () => [
        new Option(
          '-e, --env <k=v>',
          'the value of a secret variable, which is not kept; repeatable',
        ).argParser(withVariable),
        new Option('--detach', "print the new run's id and return; the run goes on"),
        new Option('-y, --yes', confirmHelp),
      ],
      run: (call, [runId = ''], options) => retry(call, runId, options),
    },
  ],
};

/** A run's id begins with its time to the millisecond, in ten letters: with some more it means one run. */
const briefIdLength = 14;

const runListing: Listing<Run> = {
  nothing: 'no runs yet',
  columns: [
    { title: 'ID', text: ({ id }) => id, narrow: ({ id }) => id.slice(0, briefIdLength) },
    { title: 'STATE', text: ({ state }) => state },
    {
      title: 'STARTED',
      text: ({ startedUnixMs }) => timeText(startedUnixMs),
      narrow: ({ startedUnixMs }) => briefTimeText(startedUnixMs),
    },
    { title: 'TOOK', text: tookText },
    { title: 'TARGETS', text: ({ targets }) => String(targets) },
    { title: 'BY', text: ({ user }) => user },
    { title: 'COMMAND', text: commandText, wraps: true },
  ],
  json: runJson,
};

function runJson(run: Run): object {
  return {
    run: run.id,
    state: run.state,
    pattern: run.pattern,
    command: run.command,
    args: run.args,
    dryRun: run.dryRun,
    user: run.user,
    started: timeOrNull(run.startedUnixMs),
    finished: timeOrNull(run.finishedUnixMs),
    exitCode: run.exitCode ?? null,
    targets: run.targets,
    counts: run.counts,
    retryOf: run.retryOf ?? null,
  };
}

function tookText({ startedUnixMs, finishedUnixMs }: Pick<Run, 'startedUnixMs' | 'finishedUnixMs'>): string {
  if (startedUnixMs === 0 || finishedUnixMs === 0) return '';
  return formatDuration(finishedUnixMs - startedUnixMs);
}

function commandText({ pattern, command, args, dryRun }: Run): string {
  return shellQuote([...(dryRun ? ['--dry-run'] : []), pattern, command, ...args]);
}

async function show(call: Call, { run, tasks }: GetRunResponse): Promise<number> {
  if (run === undefined) throw new KomposeError('protocol', 'the controller sent no run');
  if (call.globals.output === 'json') {
    for (const line of [runJson(run), ...tasks.map((task) => taskJson(run.id, task))]) {
      call.terminal.stdout(`${jsonLine(line)}\n`);
    }
    return 0;
  }
  const { columns } = call.terminal;
  call.terminal.stdout(`${fieldLines(runFields(run))}\n${table(taskColumns, tasks, columns)}`);
  const steps = tasks.flatMap((task) => task.steps.map((step) => ({ task, step })));
  if (steps.length > 0) call.terminal.stdout(`\n${table(stepColumns, steps, columns)}`);
  const dumped = tasks.filter(({ dump }) => dump !== undefined);
  if (dumped.length > 0) call.terminal.stdout(`\n${table(dumpColumns, dumped, columns)}`);
  return 0;
}

function runFields(run: Run): [string, string][] {
  return [
    ['run', run.id],
    ['command', commandText(run)],
    ['by', run.user],
    ['state', run.exitCode === undefined ? run.state : `${run.state} (exit code ${run.exitCode})`],
    ['started', timeText(run.startedUnixMs)],
    ['took', tookText(run)],
    ...(run.retryOf === undefined ? [] : [['repeats', run.retryOf] satisfies [string, string]]),
  ];
}

const taskColumns = [
  { title: 'TARGET', text: ({ host, stack }: Task) => `${host}:${stack}` },
  { title: 'STATE', text: ({ state }: Task) => state },
  { title: 'TOOK', text: tookText },
  { title: 'EXIT CODE', text: ({ exitCode }: Task) => String(exitCode ?? '') },
  { title: 'REASON', text: ({ reason }: Task) => reason, wraps: true } as const,
];

interface TaskStep {
  readonly task: Task;
  readonly step: Step;
}

const stepColumns = [
  { title: 'TARGET', text: ({ task }: TaskStep) => `${task.host}:${task.stack}` },
  { title: 'STEP', text: ({ step }: TaskStep) => step.name },
  { title: 'OUTCOME', text: ({ step }: TaskStep) => step.outcome },
  { title: 'EXIT CODE', text: ({ step }: TaskStep) => String(step.exitCode) },
  { title: 'TOOK', text: ({ step }: TaskStep) => formatDuration(step.durationMs) },
];

const dumpColumns = [
  { title: 'TARGET', text: ({ host, stack }: Task) => `${host}:${stack}` },
  { title: 'SIZE', text: ({ dump }: Task) => sizeText(dump?.sizeBytes) },
  { title: 'DUMP', text: ({ dump }: Task) => dump?.path ?? '', wraps: true } as const,
  { title: 'SHA-256', text: ({ dump }: Task) => dump?.sha256 ?? '', wraps: true } as const,
];

function taskJson(run: string, task: Task): object {
  return {
    run,
    task: task.id,
    host: task.host,
    stack: task.stack,
    state: task.state,
    reason: task.reason,
    exitCode: task.exitCode ?? null,
    started: timeOrNull(task.startedUnixMs),
    finished: timeOrNull(task.finishedUnixMs),
    steps: task.steps,
    ...(task.dump === undefined ? {} : { dump: task.dump }),
  };
}

async function cancel(call: Call, runId: string): Promise<number> {
  using fleet = await call.connect();
  const { cancelled } = await fleet.ask<{ cancelled: boolean }>((answer) =>
    fleet.client.cancelRun({ runId }, answer),
  );
  const text = cancelled ? `cancelling; kompose runs attach ${runId} shows its end` : 'it has ended already';
  say(call, `run ${runId}: ${text}`);
  return 0;
}
