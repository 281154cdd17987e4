import { checkTerminal } from '../../common/client-terminal.ts';
import { isDatabaseCommand, parseDatabaseCommand } from '../../common/database-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { checkRaw } from '../../common/raw-output.ts';
import { checkCommand, checkEnvAssignment } from '../../common/names.ts';
import type { RunRequest as WireRunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import type { OfflinePolicy } from '../../common/rollout.ts';
import type { RunRequest } from '../runs/run-request.ts';

/** What comes over the wire is checked here, whoever sent it. Throws `usage`. */
export function checkedRequest(wire: WireRunRequest): RunRequest {
  const { pattern, command, args, filter, network, dryRun, timeoutMs, detach, raw, hasStdin, terminal } =
    wire;
  checkCommand(command);
  checkRaw({ command, raw, detach });
  if (isDatabaseCommand(command)) parseDatabaseCommand(command, args);
  checkEnv(wire.env);
  const texts = [...args, ...Object.values(wire.env), ...(network === undefined ? [] : [network])];
  if (texts.some((text) => text.includes('\0'))) {
    throw new KomposeError('usage', 'an argument, a variable or the network holds a NUL byte');
  }
  checkSize(texts);
  return {
    pattern,
    command,
    args,
    filter: filter ?? { hosts: [], labels: [] },
    env: wire.env,
    network,
    timeoutMs,
    dryRun,
    detach,
    raw,
    hasStdin,
    terminal: terminal === undefined ? undefined : checkTerminal(terminal),
    ...checkedRollout(wire),
  };
}

/** What Linux gives a program: of one word (MAX_ARG_STRLEN), and of all words and variables together about twice this. */
const mostWordBytes = 128 * 1024;
const mostBytes = 1024 * 1024;

function checkSize(texts: readonly string[]): void {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const isTooLarge = sizes.some((bytes) => bytes > mostWordBytes);
  if (!isTooLarge && sizes.reduce((sum, bytes) => sum + bytes, 0) <= mostBytes) return;
  const message =
    'arguments and variables are too long for a program: give such data in a file, or through stdin';
  throw new KomposeError('usage', message);
}

/** Throws `usage`. */
export function checkEnv(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) checkEnvAssignment(`${name}=${value}`);
}

function checkedRollout({ rollout, offline }: WireRunRequest): Pick<RunRequest, 'rollout' | 'offline'> {
  const { parallel = 0, batch, batchWaitMs = 0, maxFailures } = rollout ?? {};
  for (const share of [batch, maxFailures]) {
    if (share?.isPercent === true && share.count > 100)
      throw new KomposeError('usage', 'a share is at most 100%');
  }
  if (batch?.count === 0) throw new KomposeError('usage', '--batch takes at least one host');
  return { rollout: { parallel, batch, batchWaitMs, maxFailures }, offline: checkedOffline(offline) };
}

function checkedOffline(offline: WireRunRequest['offline']): OfflinePolicy {
  switch (offline?.kind?.$case) {
    case 'skip':
      return { kind: 'skip' };
    case 'waitMs':
      return { kind: 'wait', waitMs: offline.kind.value };
    case undefined:
      if (offline === undefined) return { kind: 'fail' };
      throw new KomposeError(
        'protocol',
        'the client asks for an unknown way with offline hosts: upgrade the controller',
      );
  }
}
