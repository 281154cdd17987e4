import type { RunEvent } from '../../common/task-event.ts';

/** Where a renderer writes; each call is one write, in order. */
export interface Sink {
  stdout(data: string | Uint8Array): void;
  stderr(data: string | Uint8Array): void;
}

/** Shows a run to a person or a program. One run each; events in order of seq, each once. */
export interface Renderer {
  render(event: RunEvent): void;
  /** A line of kompose's own about the run as a whole. */
  say(text: string): void;
}
