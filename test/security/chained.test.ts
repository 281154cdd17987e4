import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { localSocketPath } from '../../agent/local/local-server.ts';
import type { KomposeError } from '../../common/errors.ts';
import { decodeRunEvent } from '../../proto/event-codec.ts';
import { LocalRun } from '../../proto/gen/kompose/v1/agent_link.ts';
import { decodeFrames, encodeFrame, type LocalRequest } from '../../proto/local-link.ts';
import { TestController } from '../integration/controller/test-controller.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/*
 * Two real hosts. Somebody on prod-1, in a hook or with its agent's socket, wants something done on prod-2, which has the
 * stack `victim`; its commands, and those of all other stacks, leave their words in `ran`.
 */

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2');
  const files = { 'action.sh': 'echo "$*" >> ran\n' };
  for (const host of ['prod-1', 'prod-2']) await fleet.writeStack(host, 'sexy', files);
  await fleet.writeStack('prod-1', 'ended', files);
  await fleet.writeStack('prod-2', 'victim', files);
  const waits = 'hook_pre_pull() { cat gate > /dev/null; }\n';
  for (const host of ['prod-1', 'prod-2']) {
    await fleet.writeStack(host, 'waiting', { ...files, 'hooks.sh': waits });
    await execa('mkfifo', [join(fleet.stacks(host), 'waiting', 'gate')]);
  }
});

after(() => fleet.stop());

/** The stacks of a host where a command was executed. */
async function touched(host: string): Promise<string[]> {
  const stacks = await readdir(fleet.stacks(host), { withFileTypes: true });
  const folders = stacks.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const ran = folders.map(async (name) => {
    const files = await readdir(join(fleet.stacks(host), name));
    return files.includes('ran') ? [name] : [];
  });
  return (await Promise.all(ran)).flat();
}

/** What the agent of prod-1 answers who sends this over its socket, whatever the command line would have sent. */
async function askSocket(request: object): Promise<{ refused?: KomposeError; targets: string[] }> {
  const socket = connect(localSocketPath(join(fleet.home('prod-1'), 'agent')));
  await once(socket, 'connect');
  const usual: LocalRequest = {
    pattern: '*',
    hosts: [],
    command: 'restart',
    args: [],
    env: {},
    network: undefined,
    timeoutMs: 0,
    dryRun: false,
    raw: false,
    rollout: { parallel: 0, batch: undefined, batchWaitMs: 0, maxFailures: undefined },
    user: 'mallory',
    parentTask: undefined,
    secrets: [],
    hasStdin: false,
    terminal: undefined,
  };
  socket.write(encodeFrame({ kind: 'request', value: { ...usual, ...request } }));
  const targets: string[] = [];
  let refused: KomposeError | undefined;
  for await (const frame of decodeFrames(socket)) {
    if (frame.kind === 'failed') refused = frame.value;
    if (frame.kind !== 'event') continue;
    const { event } = decodeRunEvent(frame.value);
    if (event.type === 'run.started')
      targets.push(...event.targets.map(({ host, stack }) => `${host}:${stack}`));
  }
  return { ...(refused === undefined ? {} : { refused }), targets };
}

/** A task whose pre hook waits until `open` is called. */
async function waitingTask(host: string): Promise<{ task: string; open: () => Promise<void> }> {
  const cli = fleet.spawn('admin', ['-o', 'json', `${host}:waiting`, 'pull']);
  await cli.shows('stdout', 'hook_pre_pull');
  const [line = '{}'] = cli.stdout.split('\n');
  const open = async (): Promise<void> => {
    await execa('bash', ['-c', 'exec 3> "$1"', 'bash', join(fleet.stacks(host), 'waiting', 'gate')]);
    await cli.ended;
  };
  return { task: taskOf(JSON.parse(line)), open };
}

/** Called by a hook of prod-1: how each of these calls of kompose.sh ends. */
async function attempt(calls: readonly string[]): Promise<string[]> {
  const hook = calls.map((call) => `  ${call} < /dev/null; echo $? >> attempts\n`).join('');
  await fleet.writeStack('prod-1', 'front', { 'hooks.sh': `hook_pre_restart() {\n${hook}}\n` });
  await fleet.untilKnown('prod-1:front', 'prod-2:victim');
  await fleet.must('front', 'restart');
  const path = join(fleet.stacks('prod-1'), 'front', 'attempts');
  const codes = await readFile(path, 'utf8');
  await rm(path);
  return codes.trim().split('\n');
}

const script = '"${SCRIPT_DIR}/kompose.sh"';

/** A task of prod-1 that has ended. */
async function endedTask(): Promise<string> {
  await fleet.untilKnown('prod-1:ended');
  const [started] = await fleet.objects('prod-1:ended', 'restart');
  return taskOf(started);
}

function taskOf(started: unknown): string {
  const { targets } = started as { readonly targets: readonly { readonly task: string }[] };
  return targets[0]?.task ?? '';
}

describe('a chained run', () => {
  test('does not leave its host, whatever a hook asks for', async () => {
    const words = [
      'victim restart',
      "'prod-2:*' restart",
      "'{prod-1,prod-2}:victim' restart",
      "--host prod-2 '*' restart",
      "--host '*' victim restart",
      'prod-1:../../prod-2/victim restart',
      `${fleet.stacks('prod-2')}/victim restart`,
      `--controller ${fleet.address} prod-2:victim restart`,
      '--local prod-2:victim restart',
    ];
    const codes = await attempt(words.map((each) => `${script} ${each}`));
    // Nothing matches.
    assert.deepEqual(
      codes,
      words.map(() => '3'),
    );
    assert.deepEqual([await touched('prod-1'), await touched('prod-2')], [[], []]);
  });

  test('is of no task of another host, and of none that has ended, whatever a hook says that it is', async () => {
    const ended = await endedTask();
    const foreign = await waitingTask('prod-2');
    const parents = [ended, foreign.task, '', 'x', '../../tasks'];
    const codes = await attempt(
      parents.slice(0, 2).map((id) => `KOMPOSE_TASK_ID=${id} ${script} sexy restart`),
    );
    assert.deepEqual(codes, ['1', '1']);
    for (const parentTask of parents) {
      const { refused, targets } = await askSocket({ pattern: 'sexy', parentTask });
      assert.equal(refused?.message, 'the task whose hook called kompose.sh has ended', parentTask);
      assert.deepEqual(targets, []);
    }
    assert.deepEqual(await touched('prod-1'), ['ended']);
    await foreign.open();
    assert.deepEqual(await touched('prod-2'), ['waiting']);
  });

  test('does not leave its host, whatever is said to the agent’s socket', async () => {
    const already = await touched('prod-2');
    const parent = await waitingTask('prod-1');
    const elsewhere = { host: 'prod-2', name: 'prod-2', root: fleet.stacks('prod-2') };
    const target = { task: '01J00000000000000000000000', host: 'prod-2', stack: 'victim' };
    for (const who of [{}, { parentTask: parent.task }]) {
      for (const request of [
        { pattern: 'victim' },
        { pattern: 'prod-2:*' },
        { pattern: '*', hosts: ['prod-2'] },
        { pattern: 'victim', hosts: ['*'], ...elsewhere },
        { pattern: 'victim', targets: [target], tasks: [target], stack: 'victim', ...elsewhere },
        { pattern: 'victim', run: target.task, parent: { run: target.task, task: target.task } },
      ]) {
        const { refused, targets } = await askSocket({ ...request, ...who });
        assert.equal(refused?.code, 'not-found', JSON.stringify(request));
        assert.deepEqual(targets, []);
      }
      // What is there to be found is done, here and nowhere else.
      const words = { pattern: 'prod-*:sexy', hosts: ['prod-*'], targets: [target], ...elsewhere, ...who };
      assert.deepEqual((await askSocket(words)).targets, ['prod-1:sexy']);
    }
    await parent.open();
    assert.deepEqual(await touched('prod-2'), already);
  });

  test('is in the name of whoever began its parent, whatever is said to the agent’s socket', async () => {
    const parent = await waitingTask('prod-1');
    const chain = { root: '01J00000000000000000000000', stacks: [] };
    await askSocket({ pattern: 'sexy', command: 'pull', user: 'mallory', chain, parentTask: parent.task });
    await parent.open();
    const records = await fleet.objects('audit', 'ls', '--type', 'run.started', '--command', 'pull');
    const child = records.find(({ pattern }) => pattern === 'sexy');
    assert.deepEqual(child?.['actor'], { name: 'admin', role: 'hook', certificate: '' });
    assert.equal((child['parent'] as { task: string }).task, parent.task);
    assert.deepEqual(child['targets'], ['prod-1:sexy']);
  });
});

test('a host cannot say that its run was begun by a task of another host, or by another user’s', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-2', ['victim']);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  const { identity } = await controller.online('prod-1', ['sexy']);
  const parent = { parentRunId: (await run.started()).run, parentTaskId: taskId };
  const madeUp = '01J00000000000000000000009';
  for (const claim of [parent, { ...parent, parentTaskId: madeUp }, { ...parent, parentRunId: madeUp }]) {
    const hostile = controller.attach(identity);
    await hostile.welcomed();
    hostile.send({ $case: 'localRun', value: chained('prod-1', claim) });
    const { code, message } = await hostile.inbox.ended;
    assert.equal(code, 'protocol');
    assert.match(message, /is not of a hook of task \S+ on prod-1$/);
  }
  agent.send({ $case: 'localRun', value: { ...chained('prod-2', parent), user: 'mallory' } });
  assert.equal((await agent.inbox.ended).code, 'protocol');
  assert.equal(controller.audit('run.started').length, 1);
});

function chained(host: string, parent: { parentRunId: string; parentTaskId: string }): LocalRun {
  const targets = [{ taskId: '01J00000000000000000000001', host, stack: 'sexy' }];
  const words = { user: 'admin', pattern: 'sexy', command: 'restart', startedUnixMs: 1, targets };
  return { ...LocalRun.decode(Buffer.alloc(0)), runId: '01J00000000000000000000002', ...parent, ...words };
}
