import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { endFleet, readStackFile, runJson, startFleet, untilKnown, writeStacks } from './support.ts';

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));

/** Each hook writes its environment to a file that bears its name. */
const noteEnv = 'note() { env --null >"$KOMPOSE_HOOK.env"; }\n';

/** `run` shows what the container sees of these variables. */
function passing(...names: readonly string[]): string {
  const list = names.map((name) => `      - ${name}\n`).join('');
  return `services:\n  api:\n    image: busybox:local\n    network_mode: none\n    environment:\n${list}`;
}

/** The hook of a stack ran in this environment. */
async function hookEnv(stack: string, hook: string): Promise<Record<string, string>> {
  return toRecord((await readStackFile(fleet, 'prod-1', stack, `${hook}.env`)).split('\0'));
}

/** Runs a container of the stack and gives its environment. Fails when the run does. */
async function containerEnv(stack: string, ...options: readonly string[]): Promise<Record<string, string>> {
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
function pick(env: Readonly<Record<string, string>>, ...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => names.includes(name)));
}

describe('the layers of the environment', { timeout: 60_000 }, () => {
  const names = ['ROOT', 'STACK', 'NETWORK_NAME', 'LINE', 'SHELL_CODE', 'DEFAULTED', 'EMPTY', 'QUOTED'];
  const seen = async (...options: string[]): Promise<Record<string, string>> => {
    const inContainer = pick(await containerEnv('layers', ...options), ...names);
    assert.deepEqual(pick(await hookEnv('layers', 'hook_pre_run'), ...names), inContainer);
    return inContainer;
  };
  const written = writeLayers();
  async function writeLayers(): Promise<void> {
    await writeFile(
      join(fleet.stacks('prod-1'), '.env'),
      'ROOT=root\nSTACK=root\nNETWORK_NAME=root\nEMPTY=full\n',
    );
    await writeStacks(fleet, {
      'prod-1:layers': {
        'compose.yaml': passing(...names),
        'hooks.sh': `${noteEnv}hook_pre_run() { note; }\n`,
        '.env': [
          'STACK=stack',
          'NETWORK_NAME=stack',
          'LINE=${ROOT}-${STACK}-${NETWORK_NAME}',
          'SHELL_CODE=$(touch /tmp/kompose-was-here; echo run) `id`',
          'DEFAULTED=${NOWHERE:-default}',
          "QUOTED='${ROOT} as it stands' # a comment",
          '',
        ].join('\n'),
      },
    });
  }

  it("let a stack's .env win over the root's, in a hook and in a container alike", async () => {
    await written;
    assert.deepEqual(await seen(), {
      ROOT: 'root',
      STACK: 'stack',
      NETWORK_NAME: 'stack',
      LINE: 'root-stack-stack',
      SHELL_CODE: '$(touch /tmp/kompose-was-here; echo run) `id`',
      DEFAULTED: 'default',
      EMPTY: 'full',
      QUOTED: '${ROOT} as it stands',
    });
  });

  it('let --network win over the files, and -e over --network', async () => {
    await written;
    const byNetwork = await seen('--network', 'option');
    assert.deepEqual(pick(byNetwork, 'NETWORK_NAME', 'LINE'), {
      NETWORK_NAME: 'option',
      LINE: 'root-stack-option',
    });
    const byEnv = await seen('--network', 'option', '-e', 'NETWORK_NAME=typed', '-e', 'ROOT=a=b');
    assert.deepEqual(pick(byEnv, 'NETWORK_NAME', 'LINE', 'ROOT'), {
      NETWORK_NAME: 'typed',
      LINE: 'a=b-stack-typed',
      ROOT: 'a=b',
    });
  });

  it('take an empty value of -e for a value', async () => {
    await written;
    assert.deepEqual(pick(await seen('-e', 'EMPTY=', '-e', 'NOWHERE='), 'EMPTY', 'DEFAULTED'), {
      EMPTY: '',
      DEFAULTED: 'default',
    });
  });
});

describe('a step of a task', { timeout: 60_000 }, () => {
  it('knows its stack and stacks root, whoever tries to overwrite them', async () => {
    await writeStacks(fleet, {
      'prod-1:fixed': {
        'compose.yaml': passing('SCRIPT_DIR', 'stack'),
        '.env': 'SCRIPT_DIR=/elsewhere\nstack=other\n',
        'hooks.sh': `${noteEnv}
hook_pre_run() { note; export SCRIPT_DIR=/elsewhere stack=other; }
hook_post_run() { note; }`,
      },
    });
    const expected = { SCRIPT_DIR: fleet.stacks('prod-1'), stack: 'fixed' };
    const env = await containerEnv('fixed', '-e', 'SCRIPT_DIR=/elsewhere', '-e', 'stack=other');
    assert.deepEqual(pick(env, 'SCRIPT_DIR', 'stack'), expected);
    for (const hook of ['hook_pre_run', 'hook_post_run']) {
      assert.deepEqual(pick(await hookEnv('fixed', hook), 'SCRIPT_DIR', 'stack'), expected, hook);
    }
  });

  it("knows the project by compose's own precedence: variable, name: in the file, folder", async () => {
    const hooks = `${noteEnv}hook_pre_config() { note; }\n`;
    const named = `name: from-file\n${passing('HOME')}`;
    await writeStacks(fleet, {
      'prod-1:My.Folder': { 'hooks.sh': hooks },
      'prod-1:named': { 'compose.yaml': named, 'hooks.sh': hooks },
      'prod-1:variable': {
        'compose.yaml': named,
        'hooks.sh': hooks,
        '.env': 'COMPOSE_PROJECT_NAME=from-env\n',
      },
    });
    const projects = [
      ['My.Folder', 'myfolder'],
      ['named', 'from-file'],
      ['variable', 'from-env'],
      ['variable', 'typed', '-e', 'COMPOSE_PROJECT_NAME=typed'],
    ] as const;
    for (const [stack, project, ...options] of projects) {
      const { stdout, exitCode } = await fleet.kompose([...options, stack, 'config']);
      assert.equal(exitCode, 0);
      assert.match(stdout, new RegExp(`^name: ${project}$`, 'm'));
      assert.equal((await hookEnv(stack, 'hook_pre_config'))['COMPOSE_PROJECT_NAME'], project);
    }
  });

  it('tells a hook, and only a hook, which run it belongs to', async () => {
    const names = ['RUN_ID', 'TASK_ID', 'HOST', 'STACK', 'COMMAND', 'HOOK', 'USER'].map(
      (name) => `KOMPOSE_${name}`,
    );
    await writeStacks(fleet, {
      'prod-1:told': {
        'compose.yaml': passing(...names),
        'hooks.sh': `${noteEnv}hook_pre_run() { note; }\n`,
      },
    });
    const { events } = await runJson(fleet, [
      'told',
      'run',
      '--rm',
      '-T',
      'api',
      'sh',
      '-c',
      '! env | grep KOMPOSE',
    ]);
    const { stdout: whoami } = await fleet.kompose(['whoami', '-o', 'json']);
    const [started, finished] = [events[0], events.at(-1)];
    assert.equal(finished?.exitCode, 0);
    assert.deepEqual(pick(await hookEnv('told', 'hook_pre_run'), ...names), {
      KOMPOSE_RUN_ID: started?.run,
      KOMPOSE_TASK_ID: started?.targets?.[0]?.task,
      KOMPOSE_HOST: 'prod-1',
      KOMPOSE_STACK: 'told',
      KOMPOSE_COMMAND: 'run',
      KOMPOSE_HOOK: 'hook_pre_run',
      KOMPOSE_USER: (JSON.parse(whoami) as { name: string }).name,
    });
  });

  it("sees of the agent's own environment what is on the allow-list", async () => {
    await writeStacks(fleet, {
      'prod-1:clean': { 'hooks.sh': `${noteEnv}hook_pre_ps() { note; }\n`, '.env': '' },
    });
    await fleet.kompose(['clean', 'ps']);
    const env = await hookEnv('clean', 'hook_pre_ps');
    const host = fleet.rig.host('prod-1');
    assert.equal(env['DOCKER_HOST'], host.dockerHost);
    const unlisted = Object.keys(host.env).filter((name) => !/^(?:DOCKER_.*|PATH)$/.test(name));
    assert.notDeepEqual(unlisted, []); // the agent has them in its environment
    for (const name of [...unlisted, 'KOMPOSE_HOME']) assert.equal(env[name], undefined, name);
  });
});

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
    const env = await hookEnv('exports', 'hook_post_run');
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
        assert.equal((await hookEnv(stack, 'hook_pre_create'))['LEAK'], undefined);
        assert.equal((await hookEnv(stack, 'hook_post_create'))['LEAK'], `from-${stack}`);
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
      assert.equal((await hookEnv(stack, 'hook_post_config'))['MARK'], 'set by hook');
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
