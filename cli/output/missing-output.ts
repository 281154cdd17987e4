import type { Notice, OutputBytes, RunEvent } from '../../common/task-event.ts';
import type { Renderer } from './sink.ts';

/**
 * Counts the output of each task, so that a notice about output that is gone tells how much of it is missing here, and
 * is not shown where nothing is. `onMissing` hears of it, too.
 */
export function tellMissing(renderer: Renderer, onMissing: (missing: OutputBytes) => void): Renderer {
  const seen = new Map<number, OutputBytes>();
  const render = (event: RunEvent): void => {
    const shown = 'taskSeq' in event ? count(seen, event) : event;
    if (shown === undefined) return;
    if (shown.event.type === 'notice' && shown.event.missing !== undefined) onMissing(shown.event.missing);
    renderer.render(shown);
  };
  return {
    render,
    say: (text) => renderer.say(text),
    [Symbol.dispose]: () => renderer[Symbol.dispose](),
  };
}

type TaskRunEvent = Extract<RunEvent, { taskSeq: number }>;

function count(seen: Map<number, OutputBytes>, runEvent: TaskRunEvent): RunEvent | undefined {
  const { task, event } = runEvent;
  const had = seen.get(task) ?? { stdout: 0, stderr: 0 };
  if (event.type === 'output') {
    seen.set(task, { ...had, [event.stream]: had[event.stream] + event.data.length });
  } else if (event.type === 'notice' && event.outputAt !== undefined) {
    const { outputAt } = event;
    const missing = { stdout: outputAt.stdout - had.stdout, stderr: outputAt.stderr - had.stderr };
    seen.set(task, outputAt);
    return missing.stdout > 0 || missing.stderr > 0
      ? { ...runEvent, event: missingNotice(event, missing) }
      : undefined;
  }
  return runEvent;
}

function missingNotice({ type, text }: Notice, missing: OutputBytes): Notice {
  const parts = (['stdout', 'stderr'] as const).flatMap((stream) =>
    missing[stream] > 0 ? [`${missing[stream]} bytes of ${stream}`] : [],
  );
  return { type, text: `${parts.join(' and ')} are missing here: ${text}`, missing };
}
