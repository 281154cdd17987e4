import type { TerminalSize } from '../../../common/client-terminal.ts';
import type { RunStarted } from '../../../common/task-event.ts';
import { plainRenderer } from '../plain.ts';
import type { Renderer, Sink } from '../sink.ts';
import { painter, type Style } from '../style.ts';
import { LiveArea } from './live-area.ts';
import { liveLines } from './live-lines.ts';
import { Progress } from './progress.ts';

/** Also the longest that output is held back. */
const frameMs = 100;
/** A run that is over by then needs no display. */
const patienceMs = 300;

/** The terminal that stderr goes to. */
export interface LiveTerminal extends Sink {
  readonly screenSize: TerminalSize;
  /** Calls back at a new size, and when the process goes on after it was stopped. */
  onScreenChange(resized: () => void, resumed: () => void): Disposable;
}

/** As `plain`, and for a run of several targets, below its lines, how far each of them is. */
export function liveRenderer(terminal: LiveTerminal, style: Style): Renderer {
  const area = new LiveArea(terminal, () => terminal.screenSize, style.sharedTerminal);
  const plain = plainRenderer(area, style, true);
  let display: LiveDisplay | undefined;
  return {
    say: (text) => plain.say(text),
    render: (event) => {
      const { event: start, timeMs } = event;
      if (start.type === 'run.started' && isLive(start)) {
        display = new LiveDisplay(area, new Progress(start, timeMs), terminal, style);
      }
      if (event.event.type === 'run.finished') display?.[Symbol.dispose]();
      display?.progress.follow(event);
      plain.render(event);
    },
    [Symbol.dispose]: () => display?.[Symbol.dispose](),
  };
}

function isLive({ targets, dryRun }: RunStarted): boolean {
  return targets.length > 1 && !dryRun;
}

/** Draws at a steady pace until it is disposed of, however fast events come. */
class LiveDisplay implements Disposable {
  readonly progress: Progress;
  readonly #area: LiveArea;
  readonly #terminal: LiveTerminal;
  readonly #style: Style;
  readonly #visibleFromMs = Date.now() + patienceMs;
  readonly #timer: NodeJS.Timeout;
  readonly #changes: Disposable;

  constructor(area: LiveArea, progress: Progress, terminal: LiveTerminal, style: Style) {
    this.progress = progress;
    this.#area = area;
    this.#terminal = terminal;
    this.#style = style;
    area.begin();
    this.#timer = setInterval(() => this.#draw(), frameMs).unref();
    this.#changes = terminal.onScreenChange(
      () => this.#draw(),
      () => area.forget(),
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#changes[Symbol.dispose]();
    this.#area.end();
  }

  #draw(): void {
    const nowMs = Date.now();
    const paint = painter(this.#style.colour.stderr);
    const isVisible = nowMs >= this.#visibleFromMs;
    this.#area.draw(isVisible ? liveLines(this.progress, this.#terminal.screenSize, nowMs, paint) : []);
  }
}
