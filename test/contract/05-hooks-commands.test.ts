import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { endFleet, outputOf, readStackFile, runJson, startFleet, writeStacks } from '../e2e/support.ts';

/** Section 5 of the command contract: hooks of every command, those of the hooks page's tables in each of their ways. */

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

/** Those that the page does not name, an unknown word, and how a name is made of one. */
const others =
  'attach commit config cp events export images ls push rm scale stats version volumes wait watch';

describe('hooks of every other command', { concurrency: 4, timeout: 120_000 }, () => {
  before(() => {
    const hook = (command: string): string =>
      `hook_pre_${command.replaceAll('-', '_')}() { echo "hook $*"; return 3; }\n`;
    const hooks = [...others.split(' '), 'no-such-word'].map(hook).join('');
    return writeStacks(fleet, { 'prod-1:others': { 'hooks.sh': hooks } });
  });
  for (const command of [...others.split(' '), 'no-such-word']) {
    it(command, async () => {
      const { stderr } = await fleet.kompose(['others', command, 'a b']);
      assert.match(stderr, new RegExp(`^hook ${command} a b$`, 'm'));
    });
  }
});
