import type { RunEvent, RunStarted, TaskEvent } from '../../common/task-event.ts';
import { OneTarget } from './plain-one.ts';
import { SeveralTargets } from './plain-several.ts';
import { PlannedSteps } from './plan.ts';
import { printable } from '../../common/printable.ts';
import type { Renderer, Sink } from './sink.ts';
import { painter, type Style } from './style.ts';
import type { RunFinished } from '../../common/task-event.ts';

/** How a run is shown depends on how many targets it has; `task` is the place in its targets, from 1. */
export interface TaskView {
  task(task: number, event: TaskEvent): void;
  finished(event: RunFinished): void;
  say(text: string): void;
}

/**
 * For people and pipes. One target: the action's bytes are all there is on stdout and stderr gets the rest.
 * Several: every line bears its target. A dry run: the plan, on stdout. `isLive`: something else shows which step each of
 * several targets is at.
 */
export function plainRenderer(sink: Sink, style: Style, isLive = false): Renderer {
  const paint = painter(style.colour.stderr);
  let view: TaskView | undefined;
  const sayAtOnce = (text: string): void => {
    if (!style.quiet) sink.stderr(`${paint('dim', printable(text))}\n`);
  };
  return {
    say: (text) => (view === undefined ? sayAtOnce(text) : view.say(text)),
    render: ({ task, event }: RunEvent) => {
      if (event.type === 'run.started') view = viewOf(event, sink, style, isLive);
      else if (event.type === 'run.finished') view?.finished(event);
      else view?.task(task, event);
    },
    [Symbol.dispose]: () => undefined,
  };
}

function viewOf(started: RunStarted, sink: Sink, style: Style, isLive: boolean): TaskView {
  const [first, second] = started.targets;
  if (started.dryRun) return new PlannedSteps(started, sink, style);
  if (first !== undefined && second === undefined) return new OneTarget(first, sink, style);
  return new SeveralTargets(started, sink, style, isLive);
}
