import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseRuleSet, type Decision } from '../../../../common/rules/rule-set.ts';
import { assertUsageError } from '../usage-error.ts';

const shop = { host: 'prod-1', stack: 'shop', labels: { env: 'prod' } };
const proxy = { ...shop, stack: 'proxy' };
const staging = { host: 'staging-1', stack: 'shop', labels: { env: 'test' } };

function decide(text: string, words: string, target = shop, envNames: readonly string[] = []): Decision {
  const [command = '', ...args] = words.split(' ');
  return parseRuleSet(text, { of: 'role' }).decide({ command, args, envNames }, target);
}

function may(text: string, words: string, target = shop, envNames: readonly string[] = []): boolean {
  return decide(text, words, target, envNames).isAllowed;
}

describe('a role', () => {
  test('allows nothing that no rule allows', () => {
    assert.equal(may('', 'ps'), false);
    assert.equal(may('deny * exec', 'ps'), false);
    assert.deepEqual(decide('allow * ps', 'up -d'), {
      isAllowed: false,
      rule: '',
      reason: 'up (no rule does)',
    });
  });

  test('allows commands on targets', () => {
    const text = 'allow staging-*:* up,down';
    assert.equal(decide(text, 'up -d', staging).rule, text);
    assert.equal(may(text, 'up -d'), false);
    assert.equal(may(text, 'restart', staging), false);
  });

  test('lets a deny win, wherever it stands', () => {
    for (const text of ['allow * up\ndeny *:proxy *', 'deny *:proxy *\nallow * up']) {
      assert.equal(may(text, 'up'), true);
      assert.deepEqual(decide(text, 'up', proxy), {
        isAllowed: false,
        rule: 'deny *:proxy *',
        reason: 'up (deny *:proxy *)',
      });
    }
  });

  test('asks for labels of the host, all of them', () => {
    const text = 'allow * ps env=test\nallow * logs env!=test';
    assert.equal(may(text, 'ps', staging), true);
    assert.equal(may(text, 'ps'), false);
    assert.equal(may(text, 'logs'), true);
    assert.equal(may('allow * ps env=prod tier=1', 'ps'), false);
  });

  test('knows the groups of the built-in roles, globs and exclusions of commands', () => {
    assert.equal(may('allow * @read', 'logs -f'), true);
    assert.equal(may('allow * @read', 'up'), false);
    assert.equal(may('allow * @change,!down', 'up -d'), true);
    assert.equal(may('allow * @change,!down', 'down'), false);
    assert.equal(may('allow * db:*', 'db:import x.sql'), true);
    assert.equal(may('allow * *,!exec', 'exec web sh'), false);
  });

  for (const [named, words] of [
    ['config', 'config -o /etc/cron.d/x'],
    ['config', 'convert --output=/etc/cron.d/x'],
    ['build', 'build --ssh default=/root/.ssh/id'],
    ['build', 'build --builder other'],
    ['build', 'build --build-context x=/root'],
    ['build', 'build --secret id=x,src=/etc/shadow'],
    ['up', 'up --env-file /etc/passwd -d'],
    ['up', 'up --file=/tmp/compose.yaml'],
    ['logs', 'logs --project-directory /'],
    ['run', 'run --rm -v /:/host web sh'],
    ['run', 'run -dv/:/host web'],
    ['run', 'run --volumes=/:/host web'],
    ['run', 'run --env-from-file /etc/passwd web'],
    ['run', 'run --cap-add ALL web'],
    ['exec', 'exec --privileged web sh'],
  ] as const) {
    test(`keeps ${words} from a role that may ${named}`, () => {
      assert.equal(may(`allow * ${named}`, words), false);
      assert.equal(may('allow * *', words), true);
    });
  }

  for (const [named, words, needed] of [
    ['up', 'up --watch', 'watch'],
    ['up', 'up -w', 'watch'],
    ['wait', 'wait web --down-project', 'down'],
    ['build', 'build --push', 'push'],
    ['rm', 'rm -fs', 'stop'],
  ] as const) {
    test(`wants ${needed} for ${words}`, () => {
      assert.equal(may(`allow * ${named}`, words), false);
      assert.equal(may(`allow * ${named},${needed}`, words), true);
      assert.equal(may(`allow * *\ndeny * ${needed}`, words), false);
    });
  }

  for (const words of [
    'logs -f',
    'exec -it web ls -o --privileged',
    'run web tar -v',
    'up -d --wait',
    'run -e v=1 web',
  ]) {
    const [command = ''] = words.split(' ');
    test(`takes ${words} for what it is`, () => assert.equal(may(`allow * ${command}`, words), true));
  }

  test('sets any variable but powerful ones unless it says which', () => {
    assert.equal(may('allow * up', 'up', shop, ['TAG']), true);
    assert.equal(may('allow * up', 'up', shop, ['TAG', 'LD_PRELOAD']), false);
    assert.equal(may('allow * *', 'up', shop, ['PATH']), false);
    assert.equal(decide('allow * up\nenv TAG', 'up', shop, ['X']).reason, '-e X (env TAG)');
    assert.equal(may('allow * up\nenv TAG,DB_*', 'up', shop, ['DB_NAME']), true);
    assert.equal(may('allow * up\nenv COMPOSE_PROFILES', 'up', shop, ['COMPOSE_PROFILES']), true);
    assert.equal(may('allow * up\nenv COMPOSE_*', 'up', shop, ['COMPOSE_FILE']), false);
    assert.equal(may('allow * up\nenv *', 'up', shop, ['PATH']), true);
    assert.equal(may('allow * up\nenv !TAG', 'up', shop, ['TAG']), false);
    assert.equal(may('allow * up\nenv !TAG', 'up', shop, ['PATH']), false);
  });

  test('keeps its lines without comments and blanks', () => {
    const { text } = parseRuleSet('# who deploys\n\n  allow   *:web  up # and no more\r\nenv TAG\n', {
      of: 'role',
    });
    assert.equal(text, 'allow *:web up\nenv TAG');
  });

  for (const [text, message] of [
    ['allow *', /^line 1: a rule is allow PATTERN COMMANDS/],
    ['allow * ps\nforbid * up', /^line 2: a line does not begin with "forbid": write allow, deny or env$/],
    ['allow a{b ps', /^line 1: bad pattern "a\{b"/],
    ['allow * @write', /^line 1: bad list of commands "@write": there is no group "@write"/],
    ['allow * ps env=x y=\u0001', /^line 1: bad value of a label/],
    ['env A\nenv B', /^line 2: write env NAMES once/],
    ['read-only', /^line 1: /],
  ] as const) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assertUsageError(() => parseRuleSet(text, { of: 'role' }), message);
    });
  }
});

describe("a host's own rules", () => {
  function mayHere(text: string, words: string, stack = 'shop', envNames: readonly string[] = []): boolean {
    const [command = '', ...args] = words.split(' ');
    return parseRuleSet(text, { of: 'host' }).decide({ command, args, envNames }, { ...shop, stack })
      .isAllowed;
  }

  test('allow everything while there are none', () => {
    assert.equal(mayHere('# none yet\n', 'config -o /x', 'shop', ['PATH']), true);
  });

  test('deny and leave the rest', () => {
    assert.equal(mayHere('deny proxy *', 'up', 'proxy'), false);
    assert.equal(mayHere('deny proxy *', 'exec web sh'), true);
    assert.equal(mayHere('deny * db:import', 'up', 'shop', ['LD_PRELOAD']), false);
  });

  test('allow only what they allow once they allow something', () => {
    assert.equal(mayHere('allow shop,news @read,@change', 'up'), true);
    assert.equal(mayHere('allow shop,news @read,@change', 'up', 'proxy'), false);
    assert.equal(mayHere('allow shop,news @read,@change', 'exec web sh'), false);
  });

  test('read only, whatever is allowed', () => {
    const rules = parseRuleSet('allow * *\nread-only', { of: 'host' });
    const ask = (command: string, args: string[] = []): Decision =>
      rules.decide({ command, args, envNames: [] }, shop);
    assert.equal(ask('logs').isAllowed, true);
    assert.deepEqual(ask('up'), { isAllowed: false, rule: 'read-only', reason: 'up (read-only)' });
    assert.equal(ask('config', ['-o', 'x']).isAllowed, false);
  });

  for (const [text, message] of [
    ['deny * exec\nallow prod-1:shop up', /^line 2: "prod-1:shop" names a host: here only stacks are named$/],
    ['allow * up env=prod', /^line 1: "env=prod" is one word too many/],
    ['permit * up', /^line 1: .*write allow, deny, env or read-only$/],
  ] as const) {
    test(`refuse ${JSON.stringify(text)}`, () => {
      assertUsageError(() => parseRuleSet(text, { of: 'host' }), message);
    });
  }
});
