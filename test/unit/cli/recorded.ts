import type {
  Output,
  RunEvent,
  Target,
  TaskEvent,
  TaskFinished,
  TaskState,
} from '../../../common/task-event.ts';
import type { Renderer, Sink } from '../../../cli/output/sink.ts';
import type { Style } from '../../../cli/output/style.ts';

/** What a renderer wrote; stdout and stderr apart, and all of it in order. */
export class Recorder implements Sink {
  readonly #written: { stream: 'stdout' | 'stderr'; data: Buffer }[] = [];

  stdout(data: string | Uint8Array): void {
    this.#written.push({ stream: 'stdout', data: Buffer.from(data) });
  }

  stderr(data: string | Uint8Array): void {
    this.#written.push({ stream: 'stderr', data: Buffer.from(data) });
  }

  bytes(stream: 'stdout' | 'stderr'): Buffer {
    return Buffer.concat(this.#written.filter((piece) => piece.stream === stream).map(({ data }) => data));
  }

  text(stream: 'stdout' | 'stderr'): string {
    return this.bytes(stream).toString();
  }

  get lines(): object[] {
    return this.text('stdout')
      .split('\n')
      .filter((line) => line !== '')
      .map((line): object => JSON.parse(line));
  }
}

export const plainStyle: Style = {
  quiet: false,
  colour: { stdout: false, stderr: false },
  onTerminal: { stdout: false, stderr: false },
  sharedTerminal: false,
};

/** `prod-1:sexy` */
export function targets(...names: string[]): Target[] {
  return names.map((name, index) => {
    const [host = '', stack = ''] = name.split(':');
    return { task: `T${index + 1}`, host, stack };
  });
}

export interface RunScript {
  readonly targets: readonly Target[];
  readonly command?: string;
  readonly dryRun?: boolean;
  /** Pairs of a task's place, from 1, and its event. */
  readonly events: readonly (readonly [task: number, event: TaskEvent])[];
  readonly exitCode?: number;
  readonly state?: TaskState;
}

const startMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Shows a whole run: started, the events, finished with the sums of the tasks' ends. */
export function play(renderer: Renderer, script: RunScript): void {
  for (const event of runEvents(script)) renderer.render(event);
}

function runEvents({
  targets: named,
  command = 'up',
  dryRun = false,
  events,
  ...end
}: RunScript): RunEvent[] {
  const started = { pattern: '*', command, args: ['-d'], user: 'ada', dryRun };
  const counts: Partial<Record<TaskState, number>> = {};
  for (const [, event] of events) {
    if (event.type === 'task.finished') counts[event.state] = (counts[event.state] ?? 0) + 1;
  }
  const { exitCode = 0, state = 'succeeded' } = end;
  return [
    {
      seq: 1,
      task: 0,
      timeMs: startMs,
      event: { type: 'run.started', run: 'R1', targets: named, ...started },
    },
    ...events.map(([task, event], index) => ({
      seq: index + 2,
      task,
      taskSeq: index + 1,
      timeMs: startMs + index + 1,
      event,
    })),
    {
      seq: events.length + 2,
      task: 0,
      timeMs: startMs + 1000,
      event: { type: 'run.finished', state, counts, exitCode, durationMs: 2100 },
    },
  ];
}

export function output(data: string | Uint8Array, at: Partial<Pick<Output, 'step' | 'stream'>> = {}): Output {
  return { type: 'output', step: 'action', stream: 'stdout', ...at, data: Buffer.from(data) };
}

export function stepStarted(step: 'pre' | 'action' | 'post', name: string): TaskEvent {
  return { type: 'step.started', step, name, argv: ['docker', 'compose', 'up', '-d'] };
}

export function stepFinished(
  step: 'pre' | 'action' | 'post' | 'fail',
  name: string,
  outcome: 'succeeded' | 'failed' = 'succeeded',
): TaskEvent {
  const sums = { hookSha256: '', outputSha256: 'abc' };
  return {
    type: 'step.finished',
    step,
    name,
    outcome,
    exitCode: outcome === 'failed' ? 1 : 0,
    durationMs: 12,
    ...sums,
  };
}

export function finished(state: TaskState, reason = '', durationMs = 1230): TaskFinished {
  return { type: 'task.finished', state, reason, durationMs, actionDecided: false };
}
