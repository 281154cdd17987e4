import type { RunEvent, TaskEvent, TaskState } from '../../../common/task-event.ts';

export const runId = '01J0000000000000000000000A';

export function started(...names: string[]): RunEvent {
  const targets = names.map((name, index) => {
    const [host = '', stack = ''] = name.split(':');
    return { task: `T${index + 1}`, host, stack };
  });
  const asked = { pattern: '*', command: 'up', args: [], user: 'ada', dryRun: false };
  return { seq: 1, task: 0, timeMs: 1, event: { type: 'run.started', run: runId, targets, ...asked } };
}

export function taskEvent(seq: number, event: TaskEvent, task = 1): RunEvent {
  return { seq, task, taskSeq: seq, timeMs: seq, event };
}

export function output(seq: number, text: string): RunEvent {
  return taskEvent(seq, { type: 'output', step: 'action', stream: 'stdout', data: Buffer.from(text) });
}

/** The end of a run with one task. */
export function ended(seq: number, state: TaskState, exitCode: number): RunEvent[] {
  const end = { state, reason: state === 'succeeded' ? '' : 'because', durationMs: 5, actionDecided: true };
  return [
    taskEvent(seq, { type: 'task.finished', ...end, exitCode }),
    {
      seq: seq + 1,
      task: 0,
      timeMs: 9,
      event: { type: 'run.finished', state, counts: { [state]: 1 }, exitCode, durationMs: 7 },
    },
  ];
}
