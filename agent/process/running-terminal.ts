import type { ReadStream } from 'node:tty';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import { signalExitCode, terminate, type ProcessEnd, type RunningProcess } from './running-process.ts';

/** How long what was written before the exit may take to arrive once it is read again. */
const lateOutputMs = 50;

/** What to start on a pseudo-terminal. `env` is the whole environment, but for TERM and PWD. */
export interface TerminalSpec {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly terminal: ClientTerminal;
  /** Called for each chunk of the screen in order of arrival; while the promise it returns is pending it is paused. */
  readonly onOutput: (chunk: Uint8Array) => void | Promise<void>;
  /** Given what is typed into the terminal, and how to resize it. */
  readonly onStart: (input: Writable, resize: (size: TerminalSize) => void) => void;
}

/**
 * Starts a process on a pseudo-terminal of its own, as the leader of its session; never rejects. The process has ended
 * when it is gone and all it wrote was given to `onOutput`.
 */
export async function startOnTerminal(spec: TerminalSpec): Promise<RunningProcess> {
  try {
    return start(spec, await import('@lydell/node-pty'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const ended = Promise.resolve({ exitCode: 127, error: `no terminal could be opened: ${why}` });
    return { pid: undefined, ended, terminate: () => ended };
  }
}

function start(
  { argv, cwd, env, terminal, onOutput, onStart }: TerminalSpec,
  { spawn }: typeof import('@lydell/node-pty'),
): RunningProcess {
  const [file, ...args] = argv;
  const { term, rows, columns } = terminal;
  const pty = spawn(file, args, { name: term, rows, cols: columns, cwd, env: { ...env }, encoding: null });
  // The library's types know neither bytes nor back-pressure; both are the stream's that it wraps.
  const { _socket: screen } = pty as unknown as { readonly _socket: ReadStream };
  goAtPace(screen, onOutput);
  const { promise: ended, resolve } = Promise.withResolvers<ProcessEnd>();
  let isOver = false;
  const input = inputOf(screen);
  pty.onExit(({ exitCode, signal = 0 }) => {
    isOver = true;
    input.destroy();
    resolve({ exitCode: signal === 0 ? exitCode : signalExitCode(signal) });
  });
  onStart(input, (size) => {
    if (!isOver && !screen.destroyed) pty.resize(size.columns, size.rows);
  });
  return { pid: pty.pid, ended, terminate: (graceMs) => terminate(pty.pid, ended, ended, graceMs) };
}

/** The library destroys a screen soon after the exit, and Node when it ends: not before its reader has taken it all. */
function goAtPace(screen: ReadStream, onOutput: TerminalSpec['onOutput']): void {
  const reader: { taking?: Promise<void> } = {};
  const hold = (taken: Promise<void>): void => {
    reader.taking = taken.finally(() => {
      delete reader.taking;
      screen.resume();
    });
    screen.pause();
  };
  screen.on('data', (chunk: Uint8Array) => {
    const taken = onOutput(chunk);
    if (taken instanceof Promise) hold(taken);
  });
  const destroy = screen.destroy.bind(screen);
  const destroyOnceTaken = async (error?: Error): Promise<void> => {
    while (reader.taking !== undefined) {
      await reader.taking;
      await sleep(lateOutputMs);
    }
    destroy(error);
  };
  screen.destroy = (error) => {
    void destroyOnceTaken(error);
    return screen;
  };
}

/** Its end says nothing: a terminal has no end of input but the one that is typed. */
function inputOf(screen: ReadStream): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (chunk: Uint8Array, _, done) => {
      if (screen.destroyed || !screen.writable) done();
      else screen.write(chunk, () => done());
    },
  });
}
