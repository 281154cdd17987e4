import type { PlanStep, RunStarted, Target, TaskEvent, TaskFinished } from '../../common/task-event.ts';
import type { TaskView } from './plain.ts';
import { targetName } from './prefix.ts';
import { printable } from '../../common/printable.ts';
import { shellQuote } from './shell-quote.ts';
import type { Sink } from './sink.ts';
import { painter, type Paint, type Style } from './style.ts';
import { endOf, isFine, stateColour } from './summary.ts';

interface Planned {
  readonly steps: PlanStep[];
  readonly notices: string[];
  end?: TaskFinished;
}

/** A dry run: what each target would do, in the order of the targets, when all have answered. */
export class PlannedSteps implements TaskView {
  readonly #targets: readonly Target[];
  readonly #sink: Sink;
  readonly #style: Style;
  readonly #paint: Paint;
  readonly #planned = new Map<number, Planned>();

  constructor({ targets }: RunStarted, sink: Sink, style: Style) {
    this.#targets = targets;
    this.#sink = sink;
    this.#style = style;
    this.#paint = painter(style.colour.stderr);
  }

  task(task: number, event: TaskEvent): void {
    const planned = this.#planned.get(task) ?? { steps: [], notices: [] };
    this.#planned.set(task, planned);
    if (event.type === 'plan.step') planned.steps.push(event);
    if (event.type === 'notice') planned.notices.push(event.text);
    if (event.type === 'task.finished') planned.end = event;
  }

  finished(): void {
    this.#targets.forEach((target, index) => this.#show(targetName(target), this.#planned.get(index + 1)));
  }

  say(text: string): void {
    if (!this.#style.quiet) this.#sink.stderr(`${this.#paint('dim', printable(text))}\n`);
  }

  #show(name: string, planned: Planned | undefined): void {
    const cwd = planned?.steps[0]?.cwd;
    if (planned !== undefined && cwd !== undefined) {
      this.#sink.stdout(`${name}  in ${printable(cwd)}\n${planned.steps.map(stepLine).join('')}`);
    }
    for (const notice of planned?.notices ?? []) this.say(`${name}  ${notice}`);
    const end = planned?.end;
    if (end === undefined || end.state === 'succeeded' || (this.#style.quiet && isFine(end.state))) return;
    this.#sink.stderr(`${name}  ${this.#paint(stateColour(end.state), endOf(end))}\n`);
  }
}

function stepLine({ step, name, argv, uncertain }: PlanStep): string {
  const words = argv.length === 0 ? printable(name) : shellQuote(argv);
  const doubt = uncertain ? '   # if defined: hooks.sh sources other files, which may define more' : '';
  return `  ${step.padEnd('action'.length)}  ${words}${doubt}\n`;
}
