import { commandTraits } from '../../common/compose-command.ts';
import type {
  Output,
  RunFinished,
  RunStarted,
  StepStarted,
  TaskEvent,
  TaskFinished,
} from '../../common/task-event.ts';
import { LastWords } from './last-words.ts';
import { LineBuffer } from './line-buffer.ts';
import type { TaskView } from './plain.ts';
import { longest, prefixes, targetName } from './prefix.ts';
import { printable } from '../../common/printable.ts';
import type { Sink } from './sink.ts';
import { harmlessBytes } from './terminal-text.ts';
import { painter, type Paint, type Style } from './style.ts';
import { endOf, isFine, stateColour, summaryLines } from './summary.ts';
import { padded } from './text-width.ts';

const newline = 10;

/** Output that has not reached the end of its line, and where it goes. */
interface HeldOutput {
  readonly stdout: LineBuffer;
  readonly stderr: LineBuffer;
}

/**
 * A run of several targets: lines are whole and bear their target, the report at the end names every one. On a terminal
 * a line of one host's cannot reach another's.
 */
export class SeveralTargets implements TaskView {
  readonly #started: RunStarted;
  readonly #sink: Sink;
  readonly #style: Style;
  readonly #paint: Paint;
  readonly #names: readonly string[];
  readonly #prefixes: Record<'stdout' | 'stderr', readonly string[]>;
  readonly #held = new Map<number, HeldOutput>();
  readonly #ends = new Map<number, TaskFinished>();
  readonly #lastWords = new LastWords();
  /** Nobody asks ten hosts for `ps` to read ten times that ps has begun. */
  readonly #announced: 'all' | 'hooks' | 'none';

  constructor(started: RunStarted, sink: Sink, style: Style, isLive: boolean) {
    this.#started = started;
    this.#sink = sink;
    this.#style = style;
    this.#paint = painter(style.colour.stderr);
    const names = started.targets.map(targetName);
    const width = longest(names);
    this.#names = names.map((name) => padded(name, width));
    this.#prefixes = {
      stdout: prefixes(started.targets, painter(style.colour.stdout)),
      stderr: prefixes(started.targets, this.#paint),
    };
    const { reads } = commandTraits(started.command, started.args);
    this.#announced = isLive ? 'none' : reads ? 'hooks' : 'all';
    this.say(`run ${started.run}: ${started.command} on ${started.targets.length} targets`);
  }

  task(task: number, event: TaskEvent): void {
    this.#show(task, event);
    this.#lastWords.follow(task, event);
  }

  #show(task: number, event: TaskEvent): void {
    switch (event.type) {
      case 'output':
        return this.#output(task, event);
      case 'step.started':
        return this.#announces(event) ? this.#tell(task, `${event.name} …`) : undefined;
      case 'step.finished':
        return this.#flush(task, event.step === 'action');
      case 'task.queued':
        return event.waitingFor === '' ? undefined : this.#tell(task, `waits for ${event.waitingFor}`);
      case 'notice':
        return this.#tell(task, event.text);
      case 'task.finished':
        return this.#end(task, event);
      case 'task.started':
      case 'plan.step':
        return undefined;
    }
  }

  finished(event: RunFinished): void {
    for (const task of this.#held.keys()) this.#flush(task, true);
    if (this.#style.quiet) return;
    const { run, targets } = this.#started;
    const asked = this.#style.isUnrecorded === true ? undefined : run;
    for (const line of summaryLines(asked, targets, this.#ends, event, this.#paint))
      this.#sink.stderr(`${line}\n`);
  }

  say(text: string): void {
    if (!this.#style.quiet) this.#sink.stderr(`${this.#paint('dim', printable(text))}\n`);
  }

  #announces({ step }: StepStarted): boolean {
    return this.#announced === 'all' || (this.#announced === 'hooks' && step !== 'action');
  }

  #tell(task: number, text: string): void {
    this.say(`${this.#names[task - 1] ?? task}  ${text}`);
  }

  #end(task: number, event: TaskFinished): void {
    this.#flush(task, true);
    const words = this.#lastWords.of(task);
    this.#ends.set(task, words === '' ? event : { ...event, reason: `${event.reason}: ${words}` });
    if (isFine(event.state)) return;
    const end = this.#paint(stateColour(event.state), endOf(event));
    this.#sink.stderr(`${this.#names[task - 1] ?? task}  ${end}\n`);
  }

  #output(task: number, { step, stream, data }: Output): void {
    const lines = this.#heldOf(task)[stream].push(data);
    this.#write(task, step === 'action' ? stream : 'stderr', lines);
    if (stream === 'stderr') this.#hear(task, lines);
  }

  #hear(task: number, lines: readonly Uint8Array[]): void {
    for (const line of lines) this.#lastWords.hear(task, line);
  }

  #heldOf(task: number): HeldOutput {
    const held = this.#held.get(task) ?? { stdout: new LineBuffer(), stderr: new LineBuffer() };
    this.#held.set(task, held);
    return held;
  }

  /** The lines that a step left without an end. */
  #flush(task: number, isAction: boolean): void {
    const held = this.#held.get(task);
    if (held === undefined) return;
    this.#write(task, isAction ? 'stdout' : 'stderr', held.stdout.flush());
    const lines = held.stderr.flush();
    this.#write(task, 'stderr', lines);
    this.#hear(task, lines);
    this.#held.delete(task);
  }

  #write(task: number, stream: 'stdout' | 'stderr', lines: readonly Uint8Array[]): void {
    if (lines.length === 0) return;
    const prefix = Buffer.from(this.#prefixes[stream][task - 1] ?? '');
    const shown = this.#style.onTerminal[stream] ? lines.map(harmlessBytes) : lines;
    this.#sink[stream](withPrefix(prefix, shown));
  }
}

/** Each line with what stands before it, and its end: there may be thousands in a piece of output. */
function withPrefix(prefix: Uint8Array, lines: readonly Uint8Array[]): Uint8Array {
  const all = Buffer.allocUnsafe(lines.reduce((sum, { length }) => sum + prefix.length + length + 1, 0));
  let at = 0;
  for (const line of lines) {
    all.set(prefix, at);
    all.set(line, at + prefix.length);
    at += prefix.length + line.length + 1;
    all[at - 1] = newline;
  }
  return all;
}
