import type { ClientTerminal, TerminalSize } from '../common/client-terminal.ts';
import { commandTraits } from '../common/compose-command.ts';
import type { RunEvent } from '../common/task-event.ts';
import type { Call } from './call.ts';
import { terminalFor } from './client-terminal.ts';
import { interruptedExitCode, onInterrupt } from './interrupts.ts';
import { rendererFor } from './output/renderer.ts';
import type { Renderer } from './output/sink.ts';
import type { RunOrder } from './order.ts';
import { showEvent } from './show-event.ts';
import { closedPipeExitCode } from './terminal.ts';

/** What a run on this machine gets from whoever typed it. */
export interface LocalIo {
  /** Shows the run's next event; resolves when there is room for more. */
  readonly onEvent: (event: RunEvent) => Promise<void>;
  /** Cancels the run. */
  readonly stop: AbortSignal;
  /** Nobody waits for its end any more. */
  readonly kill: AbortSignal;
  /** For the action of one target, if it reads it. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  /** Where that is typed. */
  readonly terminal: ClientTerminal | undefined;
  readonly onResize: (listener: (size: TerminalSize) => void) => void;
}

/** How long what was killed has to be gone. */
const killMs = 2_000;

/**
 * Shows a run on this machine to its end, as `follow` shows one of the fleet, and gives its exit code. The first Ctrl-C
 * cancels it, as SIGTERM and the end of the terminal do; a second kills it. When nobody reads our output any more,
 * what reads ends, and what changes goes on.
 */
export async function followLocal(
  call: Call,
  order: RunOrder,
  begin: (io: LocalIo) => Promise<void>,
): Promise<number> {
  const { terminal } = call;
  using renderer = rendererFor(call);
  const ends = new RunEnds(renderer);
  const screen = order.isDryRun ? undefined : terminalFor(call, order);
  using lent = screen === undefined ? undefined : terminal.lend(ends.cancel);
  using _ = ends.listen();
  const { reads, readsStdin, endsWithWatcher } = commandTraits(order.command, order.args);
  terminal.onReaderGone(() => ends.loseReader(reads || readsStdin || endsWithWatcher));
  const piped = readsStdin && terminal.hasPipedStdin ? terminal.stdin : undefined;
  let exitCode = 1;
  let isOfOneTarget = false;
  const onEvent = async (event: RunEvent): Promise<void> => {
    if (event.event.type === 'run.started') isOfOneTarget = event.event.targets.length === 1;
    showEvent(renderer, isOfOneTarget ? lent : undefined, event);
    await terminal.drained();
    if (event.event.type === 'run.finished') exitCode = event.event.exitCode;
  };
  const { stop, kill } = ends;
  const onResize = (listener: (size: TerminalSize) => void): void => lent?.listen(listener);
  await begin({ onEvent, stop, kill, stdin: lent?.input ?? piped, terminal: screen, onResize });
  return ends.exitCode ?? exitCode;
}

/** The ways in which a run on this machine ends before its time. */
class RunEnds {
  readonly #renderer: Renderer;
  readonly #stop = new AbortController();
  readonly #kill = new AbortController();
  #exitCode: number | undefined;

  constructor(renderer: Renderer) {
    this.#renderer = renderer;
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  get kill(): AbortSignal {
    return this.#kill.signal;
  }

  /** In place of the run's own. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  readonly cancel = (): void => this.#stop.abort();

  /** `endsRun`: what it does is for its reader. */
  loseReader(endsRun: boolean): void {
    if (!endsRun) return;
    this.#exitCode = closedPipeExitCode;
    this.#stop.abort();
  }

  /** Hears Ctrl-C and the signals that end a program, until it is disposed of. */
  listen(): Disposable {
    const first = (): void => {
      this.#renderer.say('cancelling (Ctrl-C again kills what still runs)');
      this.#stop.abort();
    };
    const interrupts = onInterrupt(first, () => this.#leave());
    const signals = ['SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, this.cancel);
    return {
      [Symbol.dispose]: () => {
        interrupts[Symbol.dispose]();
        for (const signal of signals) process.off(signal, this.cancel);
      },
    };
  }

  #leave(): void {
    if (this.#kill.signal.aborted) this.#exit();
    this.#exitCode = interruptedExitCode;
    this.#kill.abort();
    setTimeout(() => this.#exit(), killMs).unref();
  }

  #exit(): never {
    this.#renderer[Symbol.dispose]();
    process.exit(interruptedExitCode);
  }
}
