import type { RunEvent } from '../../common/task-event.ts';

/** Where a renderer writes; each call is one write, in order. */
export interface Sink {
  stdout(data: string | Uint8Array): void;
  stderr(data: string | Uint8Array): void;
}

/** Shows a run to a person or a program. One run each; events in order of seq, each once. */
export interface Renderer extends Disposable {
  render(event: RunEvent): void;
  /** A line of kompose's own about the run as a whole. */
  say(text: string): void;
  /** Ends a display that is drawn in place; also done by the end of the run. What was rendered stays. */
  [Symbol.dispose](): void;
}
