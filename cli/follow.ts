import type { RunRequest } from '../proto/gen/kompose/v1/fleet.ts';
import { KomposeError } from '../common/errors.ts';
import type { RunEvent } from '../common/task-event.ts';
import type { Call } from './call.ts';
import { interruptedExitCode, onInterrupt } from './interrupts.ts';
import { jsonRenderer } from './output/json.ts';
import { plainRenderer } from './output/plain.ts';
import type { Renderer } from './output/sink.ts';
import { RunWatch } from './run-watch.ts';
import { StdinPump } from '../common/stdin-pump.ts';

/**
 * Shows a run to its end, at the pace of whoever reads our output, and gives its exit code. The first Ctrl-C
 * `cancels` the run (it is ours) or `leaves` it alone (we only look on); a second leaves at once.
 */
export async function follow(
  call: Call,
  run: RunRequest | string,
  interrupt: 'cancels' | 'leaves',
): Promise<number> {
  const { terminal, style, globals } = call;
  const renderer =
    globals.output === 'json' ? jsonRenderer(terminal, style.quiet) : plainRenderer(terminal, style);
  using lent = typeof run === 'string' || run.terminal === undefined ? undefined : terminal.lend();
  const stdin =
    typeof run !== 'string' && run.hasStdin ? new StdinPump(lent?.input ?? terminal.stdin) : undefined;
  const say = (text: string): void => renderer.say(text);
  const watch = new RunWatch({ connect: call.connect, run, say, stdin, terminal: lent });
  using _ =
    interrupt === 'cancels' ? cancelOnInterrupt(call, watch, renderer) : leaveOnInterrupt(call, watch);
  for await (const event of watch.events()) {
    if (watch.isOfOneTarget && endsAction(event)) lent?.end();
    renderer.render(event);
    if (watch.isOfOneTarget && beginsAction(event)) lent?.begin();
    await terminal.drained();
    if (event.event.type === 'run.finished') return event.event.exitCode;
  }
  throw new KomposeError('internal', 'the events ended without the end of the run');
}

/** From then on the terminal is the action's: hooks run before and after it, and Ctrl-C is ours again. */
function beginsAction({ event }: RunEvent): boolean {
  return event.type === 'step.started' && event.step === 'action';
}

function endsAction({ event }: RunEvent): boolean {
  return event.type === 'step.finished' && event.step === 'action';
}

function cancelOnInterrupt(call: Call, watch: RunWatch, renderer: Renderer): Disposable {
  const first = (): void => {
    if (!watch.mayRun) leave(call, watch);
    watch.cancel();
    const attach = `kompose runs attach ${watch.runId ?? 'ID'}`;
    renderer.say(
      `cancelling (Ctrl-C again leaves at once; with --detach a run goes on, and ${attach} follows it)`,
    );
  };
  return onInterrupt(first, () => leave(call, watch));
}

function leaveOnInterrupt(call: Call, watch: RunWatch): Disposable {
  const first = (): never => leave(call, watch);
  return onInterrupt(first, first);
}

function leave(call: Call, { runId, mayRun }: RunWatch): never {
  const next =
    runId === undefined ? 'kompose runs ls shows what became of it' : `kompose runs attach ${runId}`;
  call.terminal.stderr(mayRun ? `left the run: ${next}\n` : 'nothing was started\n');
  process.exit(interruptedExitCode);
}
