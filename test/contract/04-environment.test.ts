import assert from 'node:assert/strict';
import { access, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { endFleet, runJson, startFleet, writeStacks } from '../e2e/support.ts';
import { containerEnv, hookEnv, noteEnv, passing, pick } from './step-environment.ts';

/** Section 4 of the command contract. What hooks export: 04-environment-exports.test.ts. */

/** All that the agent's steps may see of its own environment, beside what it has anyway. */
const allowed = {
  USER: 'agent-user',
  LOGNAME: 'agent-logname',
  SHELL: '/bin/sh',
  LC_TIME: 'C',
  TZ: 'Asia/Tokyo',
  TMPDIR: '/var/tmp',
  TERM: 'vt100',
  SSH_AUTH_SOCK: '/nowhere/agent.sock',
  DOCKER_CLI_HINTS: 'false',
  ALL_PROXY: 'proxy.example:1',
  ftp_proxy: 'proxy.example:2',
};
const hidden = { PRIVATE_OF_AGENT: 'hidden', NODE_ENV: 'hidden', COMPOSE_PROFILES: 'hidden' };
const fleet = await startFleet(['prod-1'], { agentEnv: { ...allowed, ...hidden } });
after(() => endFleet(fleet));

describe('the layers of the environment', { timeout: 60_000 }, () => {
  const names = ['ROOT', 'STACK', 'NETWORK_NAME', 'LINE', 'SHELL_CODE', 'DEFAULTED', 'EMPTY', 'QUOTED'];
  const seen = async (...options: string[]): Promise<Record<string, string>> => {
    const inContainer = pick(await containerEnv(fleet, 'layers', ...options), ...names);
    assert.deepEqual(pick(await hookEnv(fleet, 'layers', 'hook_pre_run'), ...names), inContainer);
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
    await assert.rejects(access('/tmp/kompose-was-here'), 'a .env file is never run');
  });

  it('let --network win over the files, and -e over --network', async () => {
    await written;
    const byNetwork = await seen('--network', 'option');
    assert.deepEqual(pick(byNetwork, 'NETWORK_NAME', 'LINE'), {
      NETWORK_NAME: 'option',
      LINE: 'root-stack-option',
    });
    const own = await seen('-e', 'STACK=typed');
    assert.equal(own['LINE'], 'root-typed-stack', "in ${…} it wins over the file's own");
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
    const env = await containerEnv(fleet, 'fixed', '-e', 'SCRIPT_DIR=/elsewhere', '-e', 'stack=other');
    assert.deepEqual(pick(env, 'SCRIPT_DIR', 'stack'), expected);
    for (const hook of ['hook_pre_run', 'hook_post_run']) {
      assert.deepEqual(pick(await hookEnv(fleet, 'fixed', hook), 'SCRIPT_DIR', 'stack'), expected, hook);
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
      assert.equal((await hookEnv(fleet, stack, 'hook_pre_config'))['COMPOSE_PROJECT_NAME'], project);
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
    assert.deepEqual(pick(await hookEnv(fleet, 'told', 'hook_pre_run'), ...names), {
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
    const env = await hookEnv(fleet, 'clean', 'hook_pre_ps');
    const host = fleet.rig.host('prod-1');
    const { DOCKER_HOST, DOCKER_CONFIG, PATH } = host.env;
    const { HOME = '/root' } = process.env;
    const expected = { ...allowed, DOCKER_HOST, DOCKER_CONFIG, PATH, HOME, LANG: 'C.UTF-8' };
    assert.deepEqual(pick(env, ...Object.keys(expected)), expected);
    const unlisted = Object.keys(host.env).filter((name) => !Object.hasOwn(expected, name));
    assert.notDeepEqual(unlisted, []); // the agent has them in its environment
    for (const name of [...unlisted, ...Object.keys(hidden), 'KOMPOSE_HOME'])
      assert.equal(env[name], undefined, name);
  });

  it('is given the same variables whether hook, compose or database tool', async () => {
    const note = '#!/bin/sh\nenv --null >"$SCRIPT_DIR/tools/pg_dump.env"\n';
    await writeStacks(fleet, {
      'prod-1:tools': {
        'hooks.sh': `${noteEnv}hook_pre_db_export() { export FROM_HOOK=hook; note; }\n`,
        '.env': 'DB_NAME=shop\nDB_HOST=db.example\nSTACK=stack\n',
        'bin/pg_dump.sh': note,
      },
    });
    const bin = join(fleet.stacks('prod-1'), 'tools/bin');
    await rename(join(bin, 'pg_dump.sh'), join(bin, 'pg_dump'));
    const path = `PATH=${bin}:${fleet.rig.host('prod-1').env['PATH']}`;
    await fleet.kompose(['-e', path, '-e', 'TYPED=1', '--network', 'net', 'tools', 'db:export']);
    const names = [
      'STACK',
      'TYPED',
      'NETWORK_NAME',
      'SCRIPT_DIR',
      'stack',
      'COMPOSE_PROJECT_NAME',
      'TZ',
      'DB_NAME',
    ];
    const hook = pick(await hookEnv(fleet, 'tools', 'hook_pre_db_export'), ...names);
    assert.deepEqual(Object.keys(hook).toSorted(), names.toSorted());
    const tool = await hookEnv(fleet, 'tools', 'pg_dump');
    assert.deepEqual(pick(tool, ...names), hook);
    assert.equal(tool['FROM_HOOK'], 'hook');
  });
});
