import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import {
  endFleet,
  hostDoctor,
  idleService,
  outputOf,
  processesOf,
  runJson,
  shows,
  startFleet,
  until,
} from '../e2e/support.ts';

/** Section 5 of the command contract: the paragraph on chaining, sentence by sentence. */

const host = 'prod-1';
let fleet: KomposeFleet;

before(async () => {
  fleet = await startFleet([host, 'prod-2']);
});

after(() => endFleet(fleet));

interface AuditRecord {
  readonly type: string;
  readonly run?: string;
  readonly pattern?: string;
  readonly parent?: { readonly run: string };
  readonly actor: { readonly name: string; readonly role: string };
  readonly outcome?: string;
}

async function audit(): Promise<AuditRecord[]> {
  const { stdout } = await fleet.kompose(['-o', 'json', 'audit', 'ls']);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditRecord);
}

const stack = (name: string, hooks: string): Promise<void> =>
  fleet.writeStack(host, name, { 'compose.yaml': idleService, 'hooks.sh': hooks });

test("runs another stack's command from a hook, as the hooks page shows it", async () => {
  await stack(
    'front',
    `hook_post_restart() {
# Call another stack's command
echo " Restarting dependent services..."
"\${SCRIPT_DIR}/kompose.sh" dependent-stack restart
return 0
}
`,
  );
  await stack(
    'dependent-stack',
    'hook_pre_restart() { echo "E=$E NETWORK_NAME=$NETWORK_NAME by $KOMPOSE_USER"; }\n',
  );
  for (const each of ['front', 'dependent-stack']) await fleet.kompose([`${host}:${each}`, 'up', '-d']);
  const { exitCode, stderr } = await fleet.kompose(['-e', 'E=1', '--network', 'net', 'front', 'restart']);
  assert.equal(exitCode, 0, stderr);
  assert.match(
    stderr,
    /Restarting dependent services\.\.\.\n(?:prod-1:.*\n)?E=1 NETWORK_NAME=net by admin\n/,
  );
  assert.match(stderr, /Container dependent-stack-api-1 {2}Started/);
});

test('records the child under its parent', async () => {
  const records = await audit();
  const parent = records.find(({ type, pattern }) => type === 'run.started' && pattern === 'front');
  const child = records.find(({ type, pattern }) => type === 'run.started' && pattern === 'dependent-stack');
  assert.equal(child?.parent?.run, parent?.run);
  assert.deepEqual([child?.actor.name, child?.actor.role], ['admin', 'hook']);
  const end = records.find(({ type, run }) => type === 'run.finished' && run === child?.run);
  assert.equal(end?.outcome, 'succeeded');
});

test("shows the child's output inside the parent's", async () => {
  await stack('outer', 'hook_pre_ps() { "$SCRIPT_DIR/kompose.sh" inner config --services; }\n');
  await stack('inner', 'hook_post_config() { echo "in $stack" >&2; }\n');
  const { events } = await runJson(fleet, ['outer', 'ps']);
  assert.equal(outputOf(events, 'pre', 'stdout'), 'api\n');
  assert.match(outputOf(events, 'pre', 'stderr'), /^in inner$/m);
});

test("inherits the parent's -e, --network and user, and nothing else of its environment", async () => {
  await fleet.writeStack(host, 'outer', { '.env': 'OF_STACK=1\n' });
  await stack('outer', 'hook_pre_ps() { export OF_HOOK=1; "$SCRIPT_DIR/kompose.sh" inner config -q; }\n');
  const see = 'echo "$E $NETWORK_NAME $KOMPOSE_USER ${OF_STACK-no} ${OF_HOOK-no}"';
  await stack('inner', `hook_pre_config() { ${see}; }\n`);
  const { events } = await runJson(fleet, ['-e', 'E=1', '--network', 'net', 'outer', 'ps']);
  assert.match(outputOf(events, 'pre'), /^1 net admin no no$/m);
});

test("inherits the parent's deadline, and ends with it", async () => {
  await stack('outer', 'hook_pre_ps() { "$SCRIPT_DIR/kompose.sh" inner top; }\n');
  await stack('inner', 'hook_pre_top() { echo begun; sleep 1000; }\n');
  const { exitCode, events, ends } = await runJson(fleet, ['--timeout', '2s', 'outer', 'ps']);
  assert.equal(exitCode, 1);
  assert.equal(ends[`${host}:outer`]?.state, 'timed-out');
  assert.match(outputOf(events, 'pre'), /begun/);
  const left = async (): Promise<number> => (await processesOf(fleet, host, 'inner')).length;
  await until('the child has ended', async () => (await left()) === 0);
});

test('ends with its parent when that is cancelled', async () => {
  const client = fleet.spawnKompose(['outer', 'ps']);
  await shows(client, 'stderr', 'begun');
  client.kill('SIGINT');
  assert.equal((await client).exitCode, 130);
  const left = async (): Promise<number> => (await processesOf(fleet, host, 'inner')).length;
  await until('the child has ended', async () => (await left()) === 0);
});

test("reaches this host's stacks only", async () => {
  await fleet.writeStack('prod-2', 'afar', { 'compose.yaml': idleService });
  await stack('outer', 'hook_pre_ps() { "$SCRIPT_DIR/kompose.sh" "$WHOM" config -q; echo "code $?"; }\n');
  for (const whom of ['afar', 'prod-2:*', '*:afar']) {
    const { events } = await runJson(fleet, ['-e', `WHOM=${whom}`, 'outer', 'ps']);
    assert.match(outputOf(events, 'pre'), /nothing matches [^]*code 3\n/, whom);
  }
});

test('refuses a chain that comes back to a stack at work in it', async () => {
  await stack('ping', 'hook_pre_top() { "$SCRIPT_DIR/kompose.sh" pong top; }\n');
  await stack('pong', 'hook_pre_top() { "$SCRIPT_DIR/kompose.sh" ping top; }\n');
  const { exitCode, stderr } = await fleet.kompose([`${host}:ping`, 'top']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /refused: ping is at work in this chain already \(ping -> pong -> ping\)/);
});

test('refuses a wait that would close a circle between two runs', async () => {
  const meet = (own: string, other: string): string => `hook_pre_restart() {
    touch "$SCRIPT_DIR/${own}/here"
    until [[ -e "$SCRIPT_DIR/${other}/here" ]]; do sleep 0.05; done
    "$SCRIPT_DIR/kompose.sh" ${other} restart
  }\n`;
  await stack('left', meet('left', 'right'));
  await stack('right', meet('right', 'left'));
  const runs = await Promise.all(
    ['left', 'right'].map((each) => fleet.kompose([`${host}:${each}`, 'restart'])),
  );
  const refused = runs.filter(({ stderr }) => stderr.includes('both would wait for ever'));
  assert.ok(refused.length >= 1, runs.map(({ stderr }) => stderr).join('\n'));
  assert.ok(runs.some(({ exitCode }) => exitCode === 1));
});

test('takes a command typed on the host as a run of its own', async () => {
  const script = join(fleet.stacks(host), 'kompose.sh');
  assert.equal((await stat(script)).mode & 0o777, 0o755);
  const { stdout } = await execa(script, ['front', 'ps', '--services'], {
    env: { KOMPOSE_TASK_ID: undefined },
  });
  assert.equal(stdout, 'api');
  const records = await audit();
  const own = records.find(({ type, actor }) => type === 'run.started' && actor.role === 'local');
  assert.deepEqual([own?.pattern, own?.parent], ['front', undefined]);
});

test('tells a mistyped stack from the right exit code', async () => {
  const script = join(fleet.stacks(host), 'kompose.sh');
  const { exitCode, stderr } = await execa(script, ['fornt', 'ps'], { reject: false });
  assert.equal(exitCode, 3);
  assert.match(stderr, /nothing matches fornt in .*; did you mean front\?/);
});

test('runs a chained command while the controller is away and records it when it is back', async () => {
  await fleet.kill('controller');
  const script = join(fleet.stacks(host), 'kompose.sh');
  const { stdout, exitCode } = await execa(script, ['-e', 'MARK=away', 'front', 'config', '--services'], {
    reject: false,
  });
  assert.deepEqual([stdout, exitCode], ['api', 0]);
  await fleet.startController();
  await until('the run is recorded', async () => {
    const records = await audit().catch(() => []);
    return records.filter(({ type, actor }) => type === 'run.finished' && actor.role === 'local').length >= 2;
  });
});

test('leaves a kompose.sh that is not its own alone', async () => {
  const script = join(fleet.stacks(host), 'kompose.sh');
  await execa('cp', ['/bin/true', script]);
  const theirs = await readFile(script);
  await fleet.kill(host, 'SIGTERM');
  await fleet.startAgent(host);
  assert.equal(Buffer.compare(theirs, await readFile(script)), 0);
  const { 'kompose.sh': found } = await hostDoctor(fleet, host);
  assert.equal(found?.text, `${script} is not the agent's own and is left alone`);
});

test('leaves no lock behind', async () => {
  const locks = join(fleet.stacks(host), '.kompose', 'locks');
  for (const each of await readdir(locks)) assert.deepEqual(await readdir(join(locks, each)), []);
});
