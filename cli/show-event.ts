import type { RunEvent } from '../common/task-event.ts';
import type { Renderer } from './output/sink.ts';
import type { TerminalSession } from './terminal-session.ts';

/**
 * Renders a run's next event. `lent` is our terminal where the run has one: the action's from its beginning to its end;
 * hooks run before and after it, and Ctrl-C is ours again.
 */
export function showEvent(renderer: Renderer, lent: TerminalSession | undefined, event: RunEvent): void {
  const { type } = event.event;
  const isOfAction = 'step' in event.event && event.event.step === 'action';
  if (isOfAction && type === 'step.finished') lent?.end();
  renderer.render(event);
  if (isOfAction && type === 'step.started') lent?.begin();
}
