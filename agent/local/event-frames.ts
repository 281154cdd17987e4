import type { TaskEvent } from '../../common/task-event.ts';
import type { Frame } from './frames.ts';

/** The action's bytes as they are; everything else is told on stderr. */
export function toFrames(stack: string, event: TaskEvent): Frame[] {
  const say = (text: string): Frame[] => [{ kind: 'stderr', data: Buffer.from(`${text}\n`) }];
  switch (event.type) {
    case 'output':
      return [{ kind: event.step === 'action' ? event.stream : 'stderr', data: event.data }];
    case 'task.queued':
      return say(`${stack} waits for ${event.waitingFor}`);
    case 'notice':
      return say(`${stack}: ${event.text}`);
    case 'plan.step':
      return [{ kind: 'stdout', data: Buffer.from(`${stack}  ${event.step}  ${event.argv.join(' ')}\n`) }];
    case 'task.finished':
      return event.state === 'succeeded' ? [] : say(`${stack} ${event.state}: ${event.reason}`);
    default:
      return [];
  }
}
