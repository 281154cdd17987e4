import type { ReadStream } from 'node:tty';
import { Writable } from 'node:stream';
import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import { signalExitCode, terminate, type ProcessEnd, type RunningProcess } from './running-process.ts';

/** What to start on a pseudo-terminal. `env` is the whole environment, but for TERM and PWD. */
export interface TerminalSpec {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly terminal: ClientTerminal;
  /** Called for each chunk of the screen in order of arrival. */
  readonly onOutput: (chunk: Uint8Array) => void;
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
  screen.on('data', onOutput);
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
