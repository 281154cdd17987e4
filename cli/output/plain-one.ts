import type { Output, StepStarted, Target, TaskEvent } from '../../common/task-event.ts';
import type { TaskView } from './plain.ts';
import { targetName } from './prefix.ts';
import { printable } from '../../common/printable.ts';
import type { Sink } from './sink.ts';
import { painter, type Paint, type Style } from './style.ts';
import { endOf, isFine, stateColour } from './summary.ts';

const newline = 10;

/** A run of one target: what the action writes passes unchanged. */
export class OneTarget implements TaskView {
  readonly #name: string;
  readonly #sink: Sink;
  readonly #style: Style;
  readonly #paint: Paint;
  /** Somebody else's line on stderr's screen has no end yet. */
  #isMidLine = false;
  #isFirstStep = true;

  constructor(target: Target, sink: Sink, style: Style) {
    this.#name = targetName(target);
    this.#sink = sink;
    this.#style = style;
    this.#paint = painter(style.colour.stderr);
  }

  task(_: number, event: TaskEvent): void {
    switch (event.type) {
      case 'output':
        return this.#output(event);
      case 'step.started':
        return this.#announce(event);
      case 'task.queued':
        return event.waitingFor === '' ? undefined : this.say(`${this.#name}  waits for ${event.waitingFor}`);
      case 'notice':
        return this.say(`${this.#name}  ${event.text}`);
      case 'task.finished':
        if (this.#style.quiet && isFine(event.state)) return undefined;
        return this.#line(`${this.#name} ${this.#paint(stateColour(event.state), endOf(event))}`);
      case 'task.started':
      case 'step.finished':
      case 'plan.step':
        return undefined;
    }
  }

  finished(): void {}

  say(text: string): void {
    if (!this.#style.quiet) this.#line(this.#paint('dim', printable(text)));
  }

  /** The one step of most commands needs no announcement; behind a hook's output it does. */
  #announce({ step, name }: StepStarted): void {
    const isAlone = step === 'action' && this.#isFirstStep;
    this.#isFirstStep = false;
    if (!isAlone) this.say(`${this.#name}  ${name} …`);
  }

  #line(text: string): void {
    this.#sink.stderr(`${this.#isMidLine ? '\n' : ''}${text}\n`);
    this.#isMidLine = false;
  }

  #output({ step, stream, data }: Output): void {
    const isStdout = step === 'action' && stream === 'stdout';
    if (isStdout) this.#sink.stdout(data);
    else this.#sink.stderr(data);
    if (!isStdout || this.#style.sharedTerminal) this.#isMidLine = data.at(-1) !== newline;
  }
}
