import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allowedAgentEnv, type EnvLayers, layerEnv } from '../../../../agent/stacks/env-layers.ts';
import { KomposeError } from '../../../../common/errors.ts';

function layered(layers: Partial<EnvLayers>): {
  env: Record<string, string>;
  origin: Record<string, string>;
} {
  const { env, origin } = layerEnv({ agentEnv: {}, cliEnv: {}, ...layers });
  assert.deepEqual(Object.keys(origin), Object.keys(env));
  return { env: { ...env }, origin: { ...origin } };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

describe('allowedAgentEnv', () => {
  const allowed = words(`
    PATH HOME USER LOGNAME SHELL LANG LC_ALL LC_CTYPE TZ TMPDIR TERM SSH_AUTH_SOCK
    DOCKER_HOST DOCKER_CONFIG HTTP_PROXY NO_PROXY https_proxy all_proxy`);
  const withheld = words(`
    PATHX XPATH path LANGUAGE LC TAG NODE_OPTIONS KOMPOSE_HOME COMPOSE_FILE BASH_ENV XDOCKER_HOST docker_host
    HTTP_PROXY_X PROXY Http_Proxy LD_PRELOAD __proto__ constructor`);
  for (const name of allowed) {
    test(`lets ${name} through`, () => {
      assert.deepEqual({ ...allowedAgentEnv({ [name]: 'x' }) }, { [name]: 'x' });
    });
  }
  for (const name of withheld) {
    test(`withholds ${name}`, () => {
      assert.deepEqual({ ...allowedAgentEnv({ [name]: 'x' }) }, {});
    });
  }

  test('leaves out what is undefined', () => {
    assert.deepEqual({ ...allowedAgentEnv({ PATH: undefined, HOME: '' }) }, { HOME: '' });
  });
});

describe('layerEnv', () => {
  test('lets each layer win over those below it', () => {
    const layers: EnvLayers = {
      agentEnv: { A: 'agent', B: 'agent', C: 'agent', D: 'agent', NETWORK_NAME: 'agent' },
      rootEnvText: 'B=root\nC=root\nD=root\nNETWORK_NAME=root',
      stackEnvText: 'C=stack\nD=stack\nNETWORK_NAME=stack',
      network: 'network',
      cliEnv: { D: 'cli' },
    };
    assert.deepEqual(layered(layers), {
      env: { A: 'agent', B: 'root', C: 'stack', D: 'cli', NETWORK_NAME: 'network' },
      origin: { A: 'agent', B: 'root', C: 'stack', D: 'cli', NETWORK_NAME: 'network' },
    });
  });

  test('lets --network lose to -e NETWORK_NAME only', () => {
    const { env, origin } = layered({
      network: 'a',
      cliEnv: { NETWORK_NAME: '' },
      stackEnvText: 'N=$NETWORK_NAME',
    });
    assert.deepEqual(env, { N: '', NETWORK_NAME: '' });
    assert.deepEqual(origin, { N: 'stack', NETWORK_NAME: 'cli' });
  });

  test('lets an empty value win as any other', () => {
    assert.deepEqual(layered({ agentEnv: { A: 'x' }, stackEnvText: 'A=' }).env, { A: '' });
    assert.deepEqual(layered({ stackEnvText: 'A=x', cliEnv: { A: '' } }).env, { A: '' });
  });

  test('expands with -e and --network above the file, and the lower layers below it', () => {
    const { env } = layered({
      agentEnv: { HOME: '/root', TAG: 'agent' },
      rootEnvText: 'TAG=root\nBASE=${HOME}/x\nCLI=own\nFROM_CLI=${CLI}',
      stackEnvText: 'SEEN=$TAG\nTAG=stack\nIMAGE=app:${TAG}\nPLACE=$BASE\nNET=${NETWORK_NAME}',
      network: 'net',
      cliEnv: { CLI: 'cli' },
    });
    assert.equal(env['FROM_CLI'], 'cli');
    assert.equal(env['CLI'], 'cli');
    assert.equal(env['BASE'], '/root/x');
    assert.equal(env['SEEN'], 'root');
    assert.equal(env['IMAGE'], 'app:stack');
    assert.equal(env['PLACE'], '/root/x');
    assert.equal(env['NET'], 'net');
  });

  test('does not show the stack file to the root file', () => {
    assert.equal(layered({ rootEnvText: 'R=${S-none}', stackEnvText: 'S=x' }).env['R'], 'none');
  });

  test('takes a name alone from where it is set, as the file’s own', () => {
    const { env, origin } = layered({
      agentEnv: { A: 'x' },
      stackEnvText: 'A\nB\nC\n',
      cliEnv: { C: 'cli' },
    });
    assert.deepEqual(env, { A: 'x', C: 'cli' });
    assert.deepEqual(origin, { A: 'stack', C: 'cli' });
  });

  test('takes a variable to be set only if it has a value of its own', () => {
    assert.equal(layered({ stackEnvText: 'A=${constructor-none}${__proto__-none}' }).env['A'], 'nonenone');
    assert.deepEqual(layered({ agentEnv: { A: 'x' }, cliEnv: { A: undefined } }).env, { A: 'x' });
  });

  test('gives records without a prototype', () => {
    const { env, origin } = layerEnv({ agentEnv: {}, stackEnvText: '__proto__=x', cliEnv: {} });
    assert.equal(Object.getPrototypeOf(env), null);
    assert.equal(Object.getPrototypeOf(origin), null);
    assert.equal(env['__proto__'], 'x');
    assert.equal(origin['__proto__'], 'stack');
  });

  test('starts anew each time', () => {
    layered({ stackEnvText: 'A=1', cliEnv: { B: '2' } });
    assert.deepEqual(layered({}), { env: {}, origin: {} });
  });

  const failures: readonly [layers: Partial<EnvLayers>, start: string][] = [
    [{ rootEnvText: 'A=${' }, 'root .env:1: '],
    [{ stackEnvText: 'A=1\nB=${' }, '.env:2: '],
    [{ rootEnvText: 'A=${', rootEnvFile: '/srv/.env' }, '/srv/.env:1: '],
    [{ stackEnvText: '%', stackEnvFile: '/srv/sexy/.env' }, '/srv/sexy/.env:1: '],
  ];
  for (const [layers, start] of failures) {
    test(`blames ${start}`, () => {
      assert.throws(
        () => layered(layers),
        (thrown) => thrown instanceof KomposeError && thrown.message.startsWith(start),
      );
    });
  }
});
