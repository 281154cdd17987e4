import { commandTraits } from '../common/compose-command.ts';
import { KomposeError } from '../common/errors.ts';
import type { Call } from './call.ts';
import { interruptedExitCode, onInterrupt } from './interrupts.ts';
import { rendererFor } from './output/renderer.ts';
import type { Renderer } from './output/sink.ts';
import { showEvent } from './show-event.ts';
import { RunWatch } from './run-watch.ts';
import type { AskedRun } from './sign-run.ts';
import { StdinPump } from '../common/stdin-pump.ts';
import { youngHeapCleaner } from '../common/young-heap.ts';

const outputPassed = youngHeapCleaner(4 * 1024 * 1024);

/**
 * Shows a run to its end, at the pace of whoever reads our output, and gives its exit code. The first Ctrl-C
 * `cancels` the run (it is ours) or `leaves` it alone (we only look on); a second leaves at once. Throws `failed` where
 * all went well but we were away for so long that some output is gone of a command on one target that is run for it:
 * half of it must not pass for the whole.
 */
export async function follow(
  call: Call,
  run: AskedRun | string,
  interrupt: 'cancels' | 'leaves',
): Promise<number> {
  const { terminal } = call;
  let missingBytes = 0;
  using renderer = rendererFor(call, ({ stdout }) => void (missingBytes += stdout));
  using lent = typeof run === 'string' || run.request.terminal === undefined ? undefined : terminal.lend();
  const stdin =
    typeof run !== 'string' && run.request.hasStdin
      ? new StdinPump(lent?.input ?? terminal.stdin)
      : undefined;
  const say = (text: string): void => renderer.say(text);
  const watch = new RunWatch({ connect: call.connect, run, say, stdin, terminal: lent });
  using _ =
    interrupt === 'cancels'
      ? cancelOnInterrupt(call, watch, renderer)
      : leaveOnInterrupt(call, watch, renderer);
  for await (const event of watch.events()) {
    showEvent(renderer, watch.isOfOneTarget ? lent : undefined, event);
    await terminal.drained();
    if (event.event.type === 'output') outputPassed(event.event.data.length);
    if (event.event.type !== 'run.finished') continue;
    const { exitCode } = event.event;
    if (exitCode === 0 && missingBytes > 0 && isForItsOutput(run, watch)) throw incomplete(missingBytes);
    return exitCode;
  }
  throw new KomposeError('internal', 'the events ended without the end of the run');
}

/** It goes at our pace, so that what we show is whole. */
function isForItsOutput(run: AskedRun | string, { isOfOneTarget }: RunWatch): boolean {
  if (typeof run === 'string' || !isOfOneTarget) return false;
  const { reads, readsStdin } = commandTraits(run.request.command, run.request.args);
  return reads || readsStdin;
}

function incomplete(bytes: number): KomposeError {
  const message = `${bytes} bytes of stdout are missing: the link to the controller was lost for too long`;
  return new KomposeError('failed', `the command succeeded, but ${message}`);
}

function cancelOnInterrupt(call: Call, watch: RunWatch, renderer: Renderer): Disposable {
  const first = (): void => {
    if (!watch.mayRun) leave(call, watch, renderer);
    watch.cancel();
    const attach = `kompose runs attach ${watch.runId ?? 'ID'}`;
    renderer.say(
      `cancelling (Ctrl-C again leaves at once; with --detach a run goes on, and ${attach} follows it)`,
    );
  };
  return onInterrupt(first, () => leave(call, watch, renderer));
}

function leaveOnInterrupt(call: Call, watch: RunWatch, renderer: Renderer): Disposable {
  const first = (): never => leave(call, watch, renderer);
  return onInterrupt(first, first);
}

function leave(call: Call, { runId, mayRun }: RunWatch, renderer: Renderer): never {
  renderer[Symbol.dispose]();
  const next =
    runId === undefined ? 'kompose runs ls shows what became of it' : `kompose runs attach ${runId}`;
  call.terminal.stderr(mayRun ? `left the run: ${next}\n` : 'nothing was started\n');
  process.exit(interruptedExitCode);
}
