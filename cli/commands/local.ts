import { realpath } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { offerLocalScript, runEmbedded, stacksOf, type EmbeddedOrder } from '../../agent/embedded.ts';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { matchPattern, parsePattern } from '../../common/patterns.ts';
import type { Call } from '../call.ts';
import { confirmTargets } from '../confirm.ts';
import { interruptedExitCode, onInterrupt } from '../interrupts.ts';
import { jsonRenderer } from '../output/json.ts';
import { plainRenderer } from '../output/plain.ts';
import type { RunOrder } from '../program.ts';

/**
 * The stacks root for local mode: KOMPOSE_STACKS, else the current folder; undefined if that holds no stack and local
 * mode was not asked for. Throws `not-found` if it was.
 */
export async function findStacksRoot(
  given: string | undefined,
  isAskedFor: boolean,
): Promise<string | undefined> {
  const root = given ?? process.cwd();
  if ((await stacksOf(root)).length > 0) return realpath(root);
  if (!isAskedFor) return undefined;
  const hint = 'go to the folder that holds the stacks, or set KOMPOSE_STACKS';
  throw new KomposeError(
    'not-found',
    `${root} is no stacks root (no subfolder with a compose file): ${hint}`,
  );
}

/** `kompose <pattern> <command>` on this machine's own stacks, in this process; shown like any run. */
export async function runLocal(call: Call, order: RunOrder, root: string): Promise<number> {
  refuseFleetOptions(order);
  const { terminal, style, globals, settings } = call;
  const host = { root, name: hostname(), env: settings.env };
  const stacks = (await stacksOf(root)).map((stack) => ({ host: host.name, stack }));
  const matched = matchPattern(parsePattern(order.pattern), stacks);
  await confirmTargets(
    call,
    order,
    matched.map((target) => `${target.host}:${target.stack}`),
  );
  if (!order.isDryRun) await offerLocalScript(root, launcher());
  const renderer =
    globals.output === 'json' ? jsonRenderer(terminal, style.quiet) : plainRenderer(terminal, style);
  const stop = new AbortController();
  const cancel = (): void => {
    renderer.say('cancelling (Ctrl-C again leaves at once)');
    stop.abort();
  };
  using _ = onInterrupt(cancel, () => process.exit(interruptedExitCode));
  process.once('SIGTERM', () => stop.abort());
  let exitCode = 1;
  const show = async (event: Parameters<typeof renderer.render>[0]): Promise<void> => {
    renderer.render(event);
    await terminal.drained();
    if (event.event.type === 'run.finished') exitCode = event.event.exitCode;
  };
  await runEmbedded(toEmbedded(call, order), host, show, stop.signal);
  return exitCode;
}

function toEmbedded({ terminal }: Call, order: RunOrder): EmbeddedOrder {
  const { pattern, hosts, command, args, env, network, timeoutMs, isDryRun } = order;
  const { readsStdin } = commandTraits(command, args);
  const stdin = readsStdin && terminal.hasPipedStdin ? terminal.stdin : undefined;
  const own = { user: userInfo().username, stdin, chain: undefined };
  return { pattern, hosts, command, args, env, network, timeoutMs, dryRun: isDryRun, ...own };
}

/** There is one host, and nobody else to go on with the run. */
function refuseFleetOptions({ labels, isDetached }: RunOrder): void {
  const refused = isDetached ? '--detach' : labels.length > 0 ? '--label' : undefined;
  if (refused !== undefined)
    throw new KomposeError('usage', `${refused} needs a controller; this is local mode`);
}

/** This program, called again as the agent's part of it. */
function launcher(): [string, ...string[]] {
  return [process.execPath, ...process.execArgv, process.argv[1] ?? '', 'agent'];
}
