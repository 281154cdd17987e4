import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import type { Image } from '../fleet/images.ts';
import { KomposeFleet, type CommandOptions, type FleetOptions } from '../fleet/kompose-fleet.ts';
import { kompose } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { until } from '../until.ts';

export { until };

/** One service `api` that runs for ever, ends at once when stopped, and needs no network. */
export const idleService = `
services:
  api:
    image: busybox:local
    network_mode: none
`;

/** kompose on a rig of its own, for the tests of one file. `endFleet` ends both. */
export async function startFleet(
  hosts: readonly string[],
  options: Omit<FleetOptions, 'rig'> & { readonly images?: readonly Image[] } = {},
): Promise<KomposeFleet> {
  const { images = [], ...fleetOptions } = options;
  const rig = await startRig({ hosts, images, report: (line) => console.log(line) });
  try {
    return await KomposeFleet.start({ ...fleetOptions, rig });
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

export async function endFleet(fleet: KomposeFleet): Promise<void> {
  await Promise.all(fleet.rig.hosts.map(({ name }) => unpauseAll(fleet, name)));
  await fleet.stop();
  await fleet.rig.stop();
}

/** A frozen process outlives even SIGKILL. */
async function unpauseAll(fleet: KomposeFleet, host: string): Promise<void> {
  const paused = await dockerLines(fleet, host, 'ps', '--quiet', '--filter', 'status=paused').catch(() => []);
  if (paused.length > 0) await fleet.rig.docker(host, ['unpause', ...paused]);
}

/** Files by their paths inside a stack, by target (`host:stack`). */
export type Stacks = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * Writes stacks. A run that names one of them finds it at once; wait for `untilKnown` before a pattern that matches
 * older ones too.
 */
export async function writeStacks(fleet: KomposeFleet, stacks: Stacks): Promise<void> {
  for (const [target, files] of Object.entries(stacks)) {
    const [host = '', stack = ''] = target.split(':');
    await fleet.writeStack(host, stack, { 'compose.yaml': idleService, ...files });
  }
}

export async function untilKnown(fleet: KomposeFleet, stacks: Stacks): Promise<void> {
  await until(`${Object.keys(stacks).join(', ')} known`, async () => {
    const known = await knownTargets(fleet);
    return Object.keys(stacks).every((target) => known.includes(target));
  });
}

/** What the controller knows of, as `host:stack`. */
export async function knownTargets(fleet: KomposeFleet): Promise<string[]> {
  const { stdout } = await fleet.kompose(['stacks', '-o', 'json']);
  return jsonLines(stdout).map(({ host, stack }) => `${host}:${stack}`);
}

/** A file that a hook of the stack wrote beside its hooks.sh; empty when it wrote none. */
export async function readStackFile(
  fleet: KomposeFleet,
  host: string,
  stack: string,
  path: string,
): Promise<string> {
  return readFile(join(fleet.stacks(host), stack, path), 'utf8').catch(() => '');
}

/** An object that `-o json` printed: an event of section 10 of the command contract, or a row of a listing. */
export interface JsonLine {
  readonly type: string;
  readonly run?: string;
  readonly task?: string;
  readonly host?: string;
  readonly stack?: string;
  readonly step?: string;
  readonly name?: string;
  readonly argv?: readonly string[];
  readonly stream?: string;
  readonly data?: string;
  readonly encoding?: string;
  readonly outcome?: string;
  readonly state?: string;
  readonly reason?: string;
  readonly exitCode?: number;
  readonly durationMs?: number;
  readonly time?: string;
  readonly online?: boolean;
  readonly cwd?: string;
  readonly envNames?: readonly string[];
  readonly waitingFor?: string;
  readonly dump?: { readonly path: string; readonly sizeBytes: number; readonly sha256: string };
  readonly text?: string;
  readonly targets?: readonly { readonly task: string; readonly host: string; readonly stack: string }[];
}

/** Throws for a line that is no object: nothing else may stand on the stdout of `-o json`. */
export function jsonLines(stdout: string): JsonLine[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonLine);
}

/** A run with `-o json`: its events, and what they come to. */
export interface EventsOfRun {
  readonly exitCode: number;
  readonly events: readonly JsonLine[];
  readonly stderr: string;
  /** `pre succeeded`, in order of their ends. */
  readonly steps: readonly string[];
  /** `host:stack` to its end. */
  readonly ends: Readonly<Record<string, JsonLine>>;
}

export async function runJson(
  fleet: KomposeFleet,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<EventsOfRun> {
  const { exitCode, stdout, stderr } = await fleet.kompose(['-o', 'json', ...args], options);
  const events = jsonLines(stdout);
  const of = (type: string): JsonLine[] => events.filter((event) => event.type === type);
  return {
    exitCode,
    events,
    stderr,
    steps: of('step.finished').map(({ step, outcome }) => `${step} ${outcome}`),
    ends: Object.fromEntries(of('task.finished').map((end) => [`${end.host}:${end.stack}`, end])),
  };
}

/** The text that a step wrote, both streams or one. */
export function outputOf(events: readonly JsonLine[], step: string, stream?: 'stdout' | 'stderr'): string {
  return events
    .filter((event) => event.type === 'output' && event.step === step)
    .filter((event) => stream === undefined || event.stream === stream)
    .map(({ data = '', encoding }) => (encoding === 'base64' ? atob(data) : data))
    .join('');
}

/** As much of a started program as is needed to watch it. */
export type Program = PromiseLike<{ exitCode?: number | undefined }> & {
  readonly stdout: Readable;
  readonly stderr: Readable;
};

/** Resolves with all that came on the stream so far, once `text` is in it. Throws when the program ends without. */
export async function shows(
  program: Program,
  stream: 'stdout' | 'stderr',
  text: string,
  timeoutMs = 15_000,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let seen = '';
  const look = (chunk: Uint8Array): void => {
    seen += Buffer.from(chunk).toString('utf8');
    if (seen.includes(text)) resolve(seen);
  };
  const fail = (why: string): void => reject(new Error(`${why} without showing "${text}": ${seen}`));
  const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
  program[stream].on('data', look);
  void program.then(({ exitCode }) => fail(`it ended with ${exitCode}`));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    program[stream].off('data', look);
  }
}

/** Whether a process is there; a dead one that nobody has waited for yet is not. */
export async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return status !== '' && !/^\d+ \(.*\) [ZX] /s.test(status);
}

/** Runs `docker ...args` on a host and gives the lines of its stdout. */
export async function dockerLines(
  fleet: KomposeFleet,
  host: string,
  ...args: readonly string[]
): Promise<string[]> {
  const stdout = await fleet.rig.docker(host, args);
  return stdout === '' ? [] : stdout.split('\n');
}

/** Names of the containers of a host, sorted. */
export async function containers(fleet: KomposeFleet, host: string): Promise<string[]> {
  return (await dockerLines(fleet, host, 'ps', '--format', '{{.Names}}')).toSorted();
}

/** Processes of a host that work in the folder of a stack: its hooks, compose, and whatever those started. */
export async function processesOf(fleet: KomposeFleet, host: string, stack: string): Promise<number[]> {
  const folder = join(fleet.stacks(host), stack);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_, index) => folders[index] === folder);
}

/** `kompose agent doctor` on a host, with `-o json`: what it found, by what it looked at. */
export async function hostDoctor(
  fleet: KomposeFleet,
  host: string,
): Promise<Record<string, { readonly status: string; readonly text: string; readonly remedy: string }>> {
  const { argvPrefix, env } = fleet.rig.host(host);
  const [file, ...rest] = [...argvPrefix, process.execPath, kompose, '-o', 'json', 'agent', 'doctor'];
  const home = { KOMPOSE_HOME: join(fleet.folder, `agent-${host}`) };
  const { stdout } = await execa(file, rest, { env: { ...env, ...home }, reject: false });
  const findings = jsonLines(stdout) as unknown as {
    check: string;
    status: string;
    text: string;
    remedy: string;
  }[];
  return Object.fromEntries(findings.map(({ check, ...finding }) => [check, finding]));
}
