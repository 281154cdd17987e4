import assert from 'node:assert/strict';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { readStackFile } from '../e2e/support.ts';

/** Each hook writes its environment to a file that bears its name. */
export const noteEnv = 'note() { env --null >"$KOMPOSE_HOOK.env"; }\n';

/** `run` shows what the container sees of these variables. */
export function passing(...names: readonly string[]): string {
  const list = names.map((name) => `      - ${name}\n`).join('');
  return `services:\n  api:\n    image: busybox:local\n    network_mode: none\n    environment:\n${list}`;
}

/** The hook of a stack ran in this environment. */
export async function hookEnv(
  fleet: KomposeFleet,
  stack: string,
  hook: string,
): Promise<Record<string, string>> {
  return toRecord((await readStackFile(fleet, 'prod-1', stack, `${hook}.env`)).split('\0'));
}

/** Runs a container of the stack and gives its environment. Fails when the run does. */
export async function containerEnv(
  fleet: KomposeFleet,
  stack: string,
  ...options: readonly string[]
): Promise<Record<string, string>> {
  const { stdout, stderr, exitCode } = await fleet.kompose([
    ...options,
    stack,
    'run',
    '--rm',
    '-T',
    'api',
    'env',
  ]);
  assert.equal(exitCode, 0, stderr);
  return toRecord(stdout.split('\n'));
}

function toRecord(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Of `env`, these variables; what is not set is left out. */
export function pick(
  env: Readonly<Record<string, string>>,
  ...names: readonly string[]
): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => names.includes(name)));
}
