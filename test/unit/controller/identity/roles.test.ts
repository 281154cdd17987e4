import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Roles } from '../../../../controller/identity/roles.ts';
import type { Request } from '../../../../common/rules/rule-set.ts';

const roles = new Roles([]);
const target = { host: 'prod-1', stack: 'shop', labels: {} };

/** Why a built-in role may not; undefined if it may. */
function refusal(role: string, request: Request): string | undefined {
  const { isAllowed, reason } = roles.decide(role, request, target);
  return isAllowed ? undefined : reason;
}

function may(
  role: string,
  command: string,
  args: readonly string[] = [],
  envNames: readonly string[] = [],
): boolean {
  return refusal(role, { command, args, envNames }) === undefined;
}

const reading = [
  'ps',
  'logs',
  'top',
  'port',
  'config',
  'images',
  'events',
  'stats',
  'ls',
  'version',
  'volumes',
];
const changing = [
  'up',
  'down',
  'start',
  'stop',
  'restart',
  'build',
  'pull',
  'push',
  'create',
  'kill',
  'pause',
  'unpause',
  'rm',
  'scale',
  'wait',
  'db:export',
  'db:cleanup',
];
const risky = [
  'exec',
  'run',
  'cp',
  'attach',
  'db:import',
  'publish',
  'commit',
  'export',
  'watch',
  'alpha',
  'x',
];

describe('refusal', () => {
  for (const command of reading) {
    test(`lets viewers ${command}`, () => {
      for (const role of ['viewer', 'operator', 'admin']) assert.ok(may(role, command), role);
    });
  }

  for (const command of changing) {
    test(`lets operators ${command}, viewers not`, () => {
      assert.ok(may('operator', command));
      assert.ok(may('admin', command));
      const reason = refusal('viewer', { command, args: [], envNames: [] });
      assert.equal(reason, `${command} needs the role operator; yours is viewer`);
    });
  }

  for (const command of risky) {
    test(`lets only admins ${command}`, () => {
      assert.ok(may('admin', command));
      for (const role of ['operator', 'viewer']) {
        const reason = refusal(role, { command, args: [], envNames: [] });
        assert.equal(reason, `${command} needs the role admin; yours is ${role}`);
      }
    });
  }

  test('lets an unknown role do no more than a viewer', () => {
    assert.ok(!may('', 'up'));
    assert.ok(!may('agent', 'exec'));
    assert.ok(!may('Admin', 'exec'));
  });

  test('does not take a word for a command that merely looks like one', () => {
    for (const command of ['UP', 'ps ', 'constructor', '__proto__'])
      assert.ok(!may('operator', command), command);
  });

  const writing: readonly (readonly string[])[] = [
    ['-o', '/etc/cron.d/x'],
    ['-o/etc/cron.d/x'],
    ['-o=/etc/cron.d/x'],
    ['-qo', '/etc/cron.d/x'],
    ['-qo/etc/cron.d/x'],
    ['--output', '/etc/cron.d/x'],
    ['--output=/etc/cron.d/x'],
    ['web', '--quiet', '--output=/etc/cron.d/x'],
  ];
  for (const args of writing) {
    test(`keeps config ${args.join(' ')} for admins`, () => {
      assert.ok(!may('viewer', 'config', args));
      assert.ok(!may('operator', 'config', args));
      assert.ok(may('admin', 'config', args));
    });
  }

  for (const args of [
    ['--services'],
    ['--format', 'json'],
    ['-q'],
    ['--no-interpolate'],
    ['--hash=*'],
    ['web'],
  ]) {
    test(`lets viewers config ${args.join(' ')}`, () => assert.ok(may('viewer', 'config', args)));
  }

  const smuggled = [
    'PATH',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'BASH_ENV',
    'ENV',
    'SHELLOPTS',
    'BASHOPTS',
    'IFS',
    'NODE_OPTIONS',
    'NODE_COMPILE_CACHE',
    'DOCKER_HOST',
    'DOCKER_CONFIG',
    'DOCKER_CONTEXT',
    'COMPOSE_FILE',
    'COMPOSE_PROFILES',
    'PGHOST',
    'PGPASSWORD',
    'HTTP_PROXY',
    'https_proxy',
    'NO_PROXY',
    'all_proxy',
  ];
  for (const name of smuggled) {
    test(`keeps -e ${name} for admins`, () => {
      for (const [role, command] of [
        ['viewer', 'ps'],
        ['operator', 'up'],
      ] as const) {
        const reason = refusal(role, { command, args: [], envNames: ['TAG', name] });
        assert.equal(reason, `-e ${name} needs the role admin; yours is ${role}`);
      }
      assert.ok(may('admin', 'up', [], [name]));
    });
  }

  for (const name of ['TAG', 'MY_PATH', 'ENVIRONMENT', 'NETWORK_NAME', 'DB_NAME', 'PATHS', 'XPG']) {
    test(`lets operators set -e ${name}`, () => assert.ok(may('operator', 'up', [], [name])));
  }
});
