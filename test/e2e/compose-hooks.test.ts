import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  endFleet,
  idleService,
  outputOf,
  readStackFile,
  runJson,
  startFleet,
  writeStacks,
} from './support.ts';

/** A command of the hooks page, in a stack of its own that bears its name. */
interface Row {
  readonly command: string;
  readonly args?: readonly string[];
  /** Brings the stack there with docker compose alone. */
  readonly given?: readonly (readonly string[])[];
  /** Brings it back there after the command. */
  readonly undo?: readonly string[];
  /** What the hooks look at; the state of the stack's containers when not said. */
  readonly probe?: string;
  /** What the pre hook sees, and what the post hook sees. */
  readonly becomes: readonly [string, string];
  /** What the action's output holds. */
  readonly prints?: RegExp;
  /** Arguments with which the action fails, its exit code, and what docker says. */
  readonly failing?: Failing;
}

interface Failing {
  readonly args: readonly string[];
  readonly exitCode: number;
  readonly says: RegExp;
}

const wrongFlag: Failing = { args: ['--no-such-flag'], exitCode: 16, says: /unknown flag/ };
const up = ['up', '--detach'];
const imagesBuilt = 'docker images --quiet build-app | wc -l';
const startedAt = 'docker inspect --format "{{.State.StartedAt}}" restart-api-1 | grep -c "$(cat before)"';

const rows: readonly Row[] = [
  { command: 'up', args: ['--detach'], undo: ['down'], becomes: ['', 'running'] },
  { command: 'down', given: [up], undo: up, becomes: ['running', ''] },
  { command: 'start', given: [['create']], undo: ['stop'], becomes: ['created', 'running'] },
  { command: 'stop', args: ['--timeout', '1'], given: [up], undo: ['start'], becomes: ['running', 'exited'] },
  { command: 'restart', given: [up], probe: startedAt, becomes: ['1', '0'] },
  { command: 'build', undo: ['down', '--rmi', 'local'], probe: imagesBuilt, becomes: ['0', '1'] },
  {
    command: 'pull',
    args: ['api'],
    becomes: ['', ''],
    prints: /api Skipped - Image is already present/,
    failing: { args: ['elsewhere'], exitCode: 18, says: /127\.0\.0\.1:1.*connection refused/ },
  },
  { command: 'logs', given: [up], becomes: ['running', 'running'], prints: /hello from api/ },
  { command: 'ps', given: [up], becomes: ['running', 'running'], prints: /ps-api-1/ },
  {
    command: 'exec',
    args: ['-T', 'api', 'sh', '-c', 'echo $((40 + 2))'],
    given: [up],
    becomes: ['running', 'running'],
    prints: /^42$/m,
    failing: { args: ['-T', 'api', 'sh', '-c', 'echo lost >&2; exit 7'], exitCode: 7, says: /lost/ },
  },
  {
    command: 'run',
    args: ['--rm', '-T', 'api', 'echo', 'once'],
    becomes: ['', ''],
    prints: /^once$/m,
    failing: { args: ['--rm', '-T', 'api', 'sh', '-c', 'echo lost >&2; exit 9'], exitCode: 9, says: /lost/ },
  },
  { command: 'create', undo: ['down'], becomes: ['', 'created'] },
  {
    command: 'kill',
    args: ['--signal', 'KILL'],
    given: [up],
    undo: ['start'],
    becomes: ['running', 'exited'],
  },
  { command: 'pause', given: [up], undo: ['unpause'], becomes: ['running', 'paused'] },
  {
    command: 'unpause',
    given: [up, ['pause']],
    undo: ['pause'],
    becomes: ['paused', 'running'],
  },
  {
    command: 'port',
    args: ['api', '80'],
    given: [up],
    becomes: ['running', 'running'],
    prints: /^0\.0\.0\.0:\d+$/m,
    failing: { args: ['api', '81'], exitCode: 1, says: /81/ },
  },
  { command: 'top', given: [up], becomes: ['running', 'running'], prints: /sleep 1000/ },
];

const service = `
services:
  api:
    image: busybox:local
    pull_policy: missing
    command: sh -c "echo hello from api; trap exit TERM; sleep 1000 & wait"
    stop_grace_period: 1s
`;
const composeFiles: Readonly<Record<string, string>> = {
  build: `${service}    network_mode: none\n  app:\n    build: .\n    network_mode: none\n`,
  port: `${service}    ports: ["80"]\n`,
  pull: `${service}    network_mode: none\n  elsewhere:\n    image: 127.0.0.1:1/no-such-registry\n`,
};

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));
await writeStacks(fleet, Object.fromEntries(rows.map((row) => [`prod-1:${row.command}`, filesOf(row)])));

describe('hooks of a compose command', { concurrency: 4, timeout: 120_000 }, () => {
  for (const row of rows) it(`run around ${row.command}`, () => checkRow(row));
});

/** Each of the ways that a command with hooks can go, from the same state of the stack. */
async function checkRow({ command, args = [], undo, becomes, prints, ...row }: Row): Promise<void> {
  const { failing = wrongFlag, given = [] } = row;
  const words = [command, ...args].join(' ');
  for (const compose of given) await composeIn(command, compose);

  const preFails = await runJson(fleet, ['-e', 'FAIL=pre', command, command, ...args]);
  assert.equal(preFails.exitCode, 1);
  assert.deepEqual(preFails.steps, ['pre failed']);
  assert.deepEqual(await takeSeen(command), [`pre|${words}|${becomes[0]}`]);

  const actionFails = await runJson(fleet, [command, command, ...failing.args]);
  assert.deepEqual(actionFails.steps, ['pre succeeded', 'action failed']);
  assert.equal(actionFails.exitCode, command === 'exec' || command === 'run' ? failing.exitCode : 1);
  assert.equal(actionFails.ends[`prod-1:${command}`]?.exitCode, failing.exitCode);
  assert.match(outputOf(actionFails.events, 'action', 'stderr'), failing.says);
  assert.deepEqual(await takeSeen(command), [`pre|${[command, ...failing.args].join(' ')}|${becomes[0]}`]);

  const allWell = await runJson(fleet, [command, command, ...args]);
  assert.deepEqual(allWell.steps, ['pre succeeded', 'action succeeded', 'post succeeded']);
  assert.equal(allWell.exitCode, 0);
  if (prints !== undefined) assert.match(outputOf(allWell.events, 'action'), prints);
  assert.deepEqual(await takeSeen(command), [`pre|${words}|${becomes[0]}`, `post|${words}|${becomes[1]}`]);

  if (undo !== undefined) await composeIn(command, undo);
  const postFails = await runJson(fleet, ['-e', 'FAIL=post', command, command, ...args]);
  assert.equal(postFails.exitCode, 1);
  assert.deepEqual(postFails.steps, ['pre succeeded', 'action succeeded', 'post failed']);
  assert.equal((await takeSeen(command)).at(-1), `post|${words}|${becomes[1]}`);
}

/** The hooks write down themselves, their arguments, and what they see of the engine. */
function filesOf({ command, probe }: Row): Record<string, string> {
  const state = 'docker ps --all --filter "label=com.docker.compose.project=$stack" --format "{{.State}}"';
  return {
    'compose.yaml': composeFiles[command] ?? `${service}    network_mode: none\n`,
    Dockerfile: 'FROM busybox:local\nRUN touch /built\n',
    'hooks.sh': `
hook_pre_${command}() { note pre "$@"; }
hook_post_${command}() { note post "$@"; }
note() {
  local step=$1; shift
  if [[ $stack == restart && $step == pre ]]; then
    docker inspect --format '{{.State.StartedAt}}' restart-api-1 >before
  fi
  echo "$step|$*|$(${probe ?? state})" >>seen
  [[ \${FAIL-} != "$step" ]]
}`,
  };
}

/** What the hooks of the stack wrote down since the last time. */
async function takeSeen(stack: string): Promise<string[]> {
  const seen = await readStackFile(fleet, 'prod-1', stack, 'seen');
  await fleet.writeStack('prod-1', stack, { seen: '' });
  return seen.trimEnd().split('\n');
}

function composeIn(stack: string, args: readonly string[]): Promise<string> {
  return fleet.rig.docker('prod-1', [
    'compose',
    '--project-directory',
    join(fleet.stacks('prod-1'), stack),
    ...args,
  ]);
}

describe('a hooks.sh', { timeout: 60_000 }, () => {
  const stack = 'file';
  const path = join(fleet.stacks('prod-1'), stack, 'hooks.sh');
  const write = (hooks: string): Promise<void> =>
    fleet.writeStack('prod-1', stack, { 'compose.yaml': idleService, 'hooks.sh': hooks });

  it('without a function for the command is not sourced, and nothing of it shows', async () => {
    await write('touch sourced\nhook_pre_up() { :; }\n');
    const { exitCode, stderr } = await fleet.kompose(['-o', 'json', stack, 'ps']);
    assert.equal(exitCode, 0);
    assert.equal(stderr, '');
    assert.equal(existsSync(join(fleet.stacks('prod-1'), stack, 'sourced')), false);
  });

  it('may define its hooks in a file that it sources', async () => {
    await write('source ./more.sh\n');
    await fleet.writeStack('prod-1', stack, { 'more.sh': 'hook_pre_ps() { echo from another file; }\n' });
    const { steps, events } = await runJson(fleet, [stack, 'ps']);
    assert.deepEqual(steps, ['pre succeeded', 'action succeeded']);
    assert.equal(outputOf(events, 'pre'), 'from another file\n');
  });

  it('with exit N in a hook ends as with return N', async () => {
    await write('hook_pre_ps() { exit 23; }\n');
    const { exitCode, ends } = await runJson(fleet, [stack, 'ps']);
    assert.equal(exitCode, 1);
    const { state, reason, exitCode: code } = ends[`prod-1:${stack}`] ?? {};
    assert.deepEqual([state, code, reason], ['failed', 23, 'hook_pre_ps ended with exit code 23']);
  });

  it('with a syntax error fails the task before anything runs, with the line', async () => {
    await write('hook_pre_ps() {\n  touch ran\n}\nif then\n');
    const { exitCode, ends, steps } = await runJson(fleet, [stack, 'ps']);
    assert.equal(exitCode, 1);
    assert.deepEqual(steps, []);
    assert.match(ends[`prod-1:${stack}`]?.reason ?? '', /^syntax error in hooks\.sh: line 4: /);
  });

  it('that is not executable runs, with a hint', async () => {
    await write('hook_pre_ps() { echo ran; }\n');
    await chmod(path, 0o640);
    const { exitCode, stderr } = await fleet.kompose([stack, 'ps']);
    assert.equal(exitCode, 0);
    assert.match(stderr, /^ran$/m);
    assert.equal(stderr.split(`chmod 750 ${path}`).length, 2);
  });

  it('that others may change is refused, with the command that mends it', async () => {
    await write('hook_pre_ps() { :; }\n');
    await chmod(path, 0o757);
    const writable = await fleet.kompose([stack, 'ps']);
    assert.equal(writable.exitCode, 1);
    assert(writable.stderr.includes(`chmod o-w ${path}`), writable.stderr);
    await chmod(path, 0o750);
    await chown(path, 65534, 65534);
    const foreign = await fleet.kompose([stack, 'ps']);
    assert.equal(foreign.exitCode, 1);
    assert(foreign.stderr.includes(`chown 0 ${path}`), foreign.stderr);
  });
});
