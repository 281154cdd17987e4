import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/** A program in docker's place is enough: what is refused never comes to it. */
let fleet: StubFleet;

const hooks = `
hook_pre_up() { touch hook-ran; }
hook_pre_restart() { "\${SCRIPT_DIR}/kompose.sh" proxy down; }
`;

before(async () => {
  fleet = await StubFleet.start('prod-1');
  await fleet.writeStack('prod-1', 'proxy', { 'hooks.sh': hooks });
  await fleet.writeStack('prod-1', 'shop', { 'hooks.sh': hooks });
  await fleet.untilKnown('prod-1:proxy', 'prod-1:shop');
});
after(() => fleet.stop());

function policyFile(): string {
  return join(fleet.home('prod-1'), 'agent', 'policy');
}

/** The agent goes by it. */
async function setPolicy(text: string): Promise<void> {
  await fleet.stopAgent('prod-1');
  await writeFile(policyFile(), text, { mode: 0o600 });
  await fleet.startAgent('prod-1');
}

/** The run's end states by stack, with their reasons, and its exit code. */
async function run(...words: string[]): Promise<{ code: unknown; ends: Record<string, unknown> }> {
  const events = await fleet.objects(...words);
  const ends = events.filter(({ type }) => type === 'task.finished');
  return {
    code: events.at(-1)?.['exitCode'],
    ends: Object.fromEntries(ends.map(({ stack, state, reason }) => [stack, reason || state])),
  };
}

describe("an agent's own policy", () => {
  test('deny: ends the task denied for an admin too, by the rule, before any hook, and audited', async () => {
    await setPolicy('# the way in\ndeny proxy @change,exec\n');
    const reason = 'the policy of host prod-1 does not allow up (deny proxy @change,exec)';
    assert.deepEqual(await run('{proxy,shop}', 'up', '-d'), {
      code: 5,
      ends: { proxy: reason, shop: 'succeeded' },
    });
    await access(join(fleet.stacks('prod-1'), 'shop', 'hook-ran'));
    await assert.rejects(access(join(fleet.stacks('prod-1'), 'proxy', 'hook-ran')));
    const audited = (await fleet.objects('audit', 'ls')).filter(({ outcome }) => outcome === 'denied');
    assert.ok(audited.some((record) => record['type'] === 'task.finished' && record['reason'] === reason));
    assert.equal((await run('proxy', 'ps')).code, 0);
  });

  test('deny: holds for a chained command', async () => {
    const { stderr } = await fleet.kompose('shop', 'restart');
    assert.match(stderr, /the policy of host prod-1 does not allow down \(deny proxy @change,exec\)/);
    const runs = await fleet.objects('runs', 'ls');
    const states = runs.slice(0, 2).map(({ command, state }) => [command, state]);
    assert.deepEqual(states, [
      ['down', 'denied'],
      ['restart', 'failed'],
    ]);
  });

  test('deny: holds for what is typed as ./kompose.sh on the host', async () => {
    const typed = promisify(execFile)(join(fleet.stacks('prod-1'), 'kompose.sh'), ['proxy', 'up', '-d']);
    await assert.rejects(typed, (error: { code?: number; stderr?: string }) => {
      assert.equal(error.code, 5);
      assert.match(error.stderr ?? '', /does not allow up \(deny proxy/);
      return true;
    });
  });

  test('deny: holds for kompose --local of the same user in the agent’s stacks root, and in no other', async () => {
    const local = async (root: string): Promise<{ code: number; stderr: string }> => {
      fleet.envOf['prod-1'] = { KOMPOSE_STACKS: root };
      return fleet.run('prod-1', ['--local', 'proxy', 'up', '-d']);
    };
    const denied = await local(fleet.stacks('prod-1'));
    assert.equal(denied.code, 5, denied.stderr);
    assert.match(denied.stderr, /does not allow up \(deny proxy @change,exec\)/);
    await assert.rejects(access(join(fleet.stacks('prod-1'), 'proxy', 'hook-ran')));
    await fleet.writeStack('elsewhere', 'proxy', { 'hooks.sh': hooks });
    assert.equal((await local(fleet.stacks('elsewhere'))).code, 0);
    delete fleet.envOf['prod-1'];
  });

  test('allow: what no rule allows is denied, and powerful variables of -e with it', async () => {
    await setPolicy('allow shop @read,@change\n');
    assert.deepEqual((await run('{proxy,shop}', 'ps')).ends, {
      proxy: 'the policy of host prod-1 does not allow ps (no rule does)',
      shop: 'succeeded',
    });
    assert.equal((await run('-e', 'LD_PRELOAD=/tmp/x.so', 'shop', 'ps')).code, 5);
    assert.equal((await run('-e', 'TAG=1', 'shop', 'ps')).code, 0);
  });

  test('read-only: only reading commands, dry runs included', async () => {
    await setPolicy('read-only\n');
    assert.equal((await run('shop', 'logs')).code, 0);
    const reason = 'the policy of host prod-1 does not allow up (read-only)';
    assert.deepEqual(await run('shop', 'up', '-d'), { code: 5, ends: { shop: reason } });
    assert.equal((await run('-n', 'shop', 'up')).code, 5);
    assert.equal((await run('shop', 'config', '-o', 'x')).code, 5);
  });

  test('agent doctor shows it', async () => {
    const findings = (await fleet.run('prod-1', ['-o', 'json', 'agent', 'doctor'])).stdout.split('\n');
    const policy = findings.find((line) => line.includes('"policy"')) ?? '';
    assert.deepEqual(JSON.parse(policy), {
      check: 'policy',
      status: 'ok',
      text: `${policyFile()}: read-only`,
      remedy: '',
    });
  });

  test('one that is not understood keeps the agent from starting and names the line', async () => {
    await fleet.stopAgent('prod-1');
    await writeFile(policyFile(), 'read-only\n\nallow prod-1:shop up\n');
    const { code, stderr } = await fleet.run('prod-1', ['agent', 'serve']);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `kompose: ${policyFile()}: line 3: "prod-1:shop" names a host: here only stacks are named\n`,
    );
    const doctor = await fleet.run('prod-1', ['agent', 'doctor']);
    assert.equal(doctor.code, 1);
    assert.match(doctor.stdout, /^fail {2}policy .*line 3: /m);
  });

  test('one that others may write keeps the agent from starting', async () => {
    await writeFile(policyFile(), '');
    await chmod(policyFile(), 0o666);
    const { code, stderr } = await fleet.run('prod-1', ['agent', 'serve']);
    assert.deepEqual(
      [code, stderr],
      [1, `kompose: ${policyFile()} can be written by others: run chmod go-w ${policyFile()}\n`],
    );
  });
});
