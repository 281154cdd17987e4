import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { endFleet, startFleet, untilKnown, writeStacks } from '../e2e/support.ts';
import { hookEnv, noteEnv, passing, pick } from './step-environment.ts';

/** Section 4 of the command contract: what a pre hook exports reaches the steps after it, and nothing else. */

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));

describe('what a pre hook exports', { timeout: 60_000 }, () => {
  it('reaches compose and the post hook, as does what it unsets', async () => {
    await writeStacks(fleet, {
      'prod-1:exports': {
        'compose.yaml': passing('IMAGE_TAG', 'LINES', 'DROPPED', 'LOCAL_ONLY'),
        'hooks.sh': `${noteEnv}
hook_pre_run() {
  export IMAGE_TAG=$(echo abc123) LINES=$'one\\n two=2\\n'
  LOCAL_ONLY=here
  unset DROPPED
}
hook_post_run() { note; }`,
      },
    });
    const run = ['-e', 'DROPPED=here', 'exports', 'run', '--rm', '-T', 'api', 'env'];
    const { stdout } = await fleet.kompose(run);
    assert.match(stdout, /^IMAGE_TAG=abc123$/m);
    assert.match(stdout, /^LINES=one\n two=2\n/m);
    assert.doesNotMatch(stdout, /DROPPED|LOCAL_ONLY/);
    const env = await hookEnv(fleet, 'exports', 'hook_post_run');
    assert.deepEqual(pick(env, 'IMAGE_TAG', 'LINES', 'DROPPED', 'LOCAL_ONLY'), {
      IMAGE_TAG: 'abc123',
      LINES: 'one\n two=2\n',
    });
  });

  it('is gone in the next stack of the run, and in the next run of the stack', async () => {
    const hooks = `${noteEnv}
hook_pre_create() { note; export LEAK=from-$stack; }
hook_post_create() { note; }`;
    const both = { 'prod-1:leak-1': { 'hooks.sh': hooks }, 'prod-1:leak-2': { 'hooks.sh': hooks } };
    await writeStacks(fleet, both);
    await untilKnown(fleet, both);
    for (const pattern of ['leak-*', 'leak-1']) {
      const { exitCode, stderr } = await fleet.kompose([pattern, 'create']);
      assert.equal(exitCode, 0, stderr);
      for (const stack of ['leak-1', 'leak-2']) {
        assert.equal((await hookEnv(fleet, stack, 'hook_pre_create'))['LEAK'], undefined);
        assert.equal((await hookEnv(fleet, stack, 'hook_post_create'))['LEAK'], `from-${stack}`);
      }
    }
  });

  const endings: Readonly<Record<string, string>> = {
    'exit 0': 'exit 0',
    exec: 'exec true',
    'a trap at its exit': "trap 'echo bye >&2' EXIT",
    'exit 0 under a trap': "trap 'echo bye >&2' EXIT; exit 0",
    'set -eux': 'set -eux; true',
    'set -euo pipefail at the top of the file': 'return 0',
    'an IFS and options of its own': 'IFS=,; shopt -s nullglob; set -f; return',
    'a subshell that ends last': '(export MARK=inner; exit 0)',
    'a trap that it takes back': "trap 'true' EXIT; trap - EXIT",
    'traps of other kinds': "trap 'true' DEBUG ERR RETURN; return 0",
    'exec that only redirects': 'exec 2>&1',
    'exit in a function that it calls': 'leave() { exit 0; }; leave',
    'a trap at the top of the file': 'return 0',
  };
  const tops: Readonly<Record<string, string>> = {
    'set -euo pipefail at the top of the file': 'set -euo pipefail\n',
    'a trap at the top of the file': "trap 'echo bye >&2' EXIT\n",
  };
  for (const [name, ending] of Object.entries(endings)) {
    it(`passes on when the hook ends by ${name}`, async () => {
      const stack = `end-${Object.keys(endings).indexOf(name)}`;
      const top = tops[name] ?? '';
      await fleet.writeStack('prod-1', stack, {
        'compose.yaml': passing('MARK'),
        'hooks.sh': `${top}${noteEnv}hook_pre_config() { export MARK='set by hook'; ${ending}\n}\nhook_post_config() { note; }`,
      });
      const { exitCode, stdout, stderr } = await fleet.kompose([stack, 'config']);
      assert.equal(exitCode, 0, stderr);
      assert.match(stdout, /^\s+MARK: set by hook$/m);
      assert.equal((await hookEnv(fleet, stack, 'hook_post_config'))['MARK'], 'set by hook');
      if (`${top}${ending}`.includes('echo bye')) assert.match(stderr, /^bye$/m);
    });
  }

  for (const [place, hooks] of [
    ['at the top of the file', 'set -x\nhook_pre_config() { export MARK=1; :; }\n'],
    ['in the hook', 'hook_pre_config() { set -x; export MARK=1; :; }\n'],
    ['in a hook that has a trap', "set -x\nhook_pre_config() { trap 'true' EXIT; export MARK=1; :; }\n"],
    ['in a hook that exits', 'set -x\nhook_pre_config() { export MARK=1; :; exit 0; }\n'],
  ] as const) {
    it(`shows no line but its own under set -x ${place}`, async () => {
      await writeStacks(fleet, { 'prod-1:traced': { 'compose.yaml': passing('MARK'), 'hooks.sh': hooks } });
      const { exitCode, stdout, stderr } = await fleet.kompose(['-q', 'traced', 'config']);
      assert.equal(exitCode, 0);
      assert.match(stdout, /MARK: "1"/);
      const own = /^\++ (?:hook_pre_config.*|export MARK=1|MARK=1|:|exit 0|true|trap true EXIT)$/;
      const traces = stderr.split('\n').filter((line) => line !== '');
      assert.deepEqual(
        traces.filter((line) => !own.test(line)),
        [],
      );
      assert(traces.includes('+ export MARK=1'), stderr);
    });
  }
});
