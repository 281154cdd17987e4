import { printable } from '../../common/printable.ts';
import type { Call } from '../call.ts';
import { terminalFor } from '../client-terminal.ts';
import { checkRawOrder } from '../check-raw.ts';
import { confirm } from '../confirm.ts';
import { follow } from '../follow.ts';
import type { Offline } from '../options.ts';
import type { RunOrder } from '../order.ts';
import { RunWatch } from '../run-watch.ts';
import type { AskedRun } from '../sign-run.ts';
import type { Offline as WireOffline, RunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import { jsonRenderer } from '../output/json.ts';
import { createStdinKey } from '../../common/signing/stdin-marks.ts';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';

/** `kompose <pattern> <command>`: starts a run and shows it to its end, or only its id with `--detach`. */
export async function run(call: Call, order: RunOrder): Promise<number> {
  checkRawOrder(call, order);
  const confirmed = await confirm(call, order);
  if (order.isDetached) return detach(call, { request: toWire(order), confirmed });
  const { readsStdin } = commandTraits(order.command, order.args);
  const terminal = terminalFor(call, order);
  const hasStdin = readsStdin && (call.terminal.hasPipedStdin || terminal !== undefined);
  const request = { ...toWire(order), hasStdin, terminal };
  const stdinKey = hasStdin ? createStdinKey() : undefined;
  return follow(call, { request, stdinKey, confirmed }, 'cancels');
}

/** Starts a run and prints its id only. */
export async function detach(call: Call, asked: AskedRun): Promise<number> {
  const say = (text: string): void => call.terminal.stderr(`${printable(text)}\n`);
  const watch = new RunWatch({ connect: call.connect, run: asked, say });
  for await (const event of watch.events()) {
    if (call.globals.output === 'json') jsonRenderer(call.terminal, true).render(event);
    else call.terminal.stdout(`${watch.runId}\n`);
    return 0;
  }
  throw new KomposeError('protocol', 'the controller started no run');
}

function toWire({ pattern, command, args, hosts, labels, env, network, ...rest }: RunOrder): RunRequest {
  return {
    pattern,
    command,
    args: [...args],
    filter: { hosts: [...hosts], labels: [...labels] },
    env: { ...env },
    network,
    dryRun: rest.isDryRun,
    timeoutMs: rest.timeoutMs,
    detach: rest.isDetached,
    raw: rest.isRaw,
    rollout: { ...rest.rollout },
    offline: toWireOffline(rest.offline),
    hasStdin: false,
    terminal: undefined,
  };
}

function toWireOffline(offline: Offline): WireOffline | undefined {
  if (offline === 'fail') return undefined;
  if (offline === 'skip') return { kind: { $case: 'skip', value: {} } };
  return { kind: { $case: 'waitMs', value: offline.waitMs } };
}
