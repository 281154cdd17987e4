import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HostRecord } from '../../../../controller/fleet/fleet.ts';
import type { HostSession } from '../../../../controller/fleet/host-session.ts';
import { resolveTargets, type HostFilter } from '../../../../controller/fleet/resolve-targets.ts';
import { KomposeError } from '../../../../common/errors.ts';

const session: HostSession = {
  host: '',
  instanceId: '',
  instanceStartedMs: 0,
  linkNumber: 0,
  connectedMs: 0,
  sealingKey: undefined,
  startTask: () => undefined,
  tellRoster: () => undefined,
  cancelTask: () => undefined,
  rescan: async () => [],
  askStatus: async () => [],
  maskWords: async () => [],
  askGauges: () => Promise.reject(new KomposeError('unsupported', 'it cannot')),
  dismiss: async () => undefined,
  end: () => undefined,
};

function host(
  name: string,
  stacks: readonly string[] | undefined,
  { online = true, labels = {} }: { online?: boolean; labels?: Record<string, string> } = {},
): HostRecord {
  return {
    name,
    labels,
    joinedMs: 0,
    certificateNotAfterMs: 0,
    certificates: [],
    agentVersion: '',
    lastSeenMs: undefined,
    clockSkewMs: 0,
    sealingKey: undefined,
    stacks: stacks?.map((stack) => ({
      name: stack,
      composeFile: 'compose.yaml',
      hooks: [],
      hasEnvFile: false,
      services: [],
      dumps: 0,
    })),
    session: online ? session : undefined,
  };
}

const fleet = [
  host('staging-1', ['sexy'], { labels: { env: 'staging' } }),
  host('prod-2', ['sexy', 'blog'], { labels: { env: 'prod' } }),
  host('prod-1', ['news', 'sexy'], { labels: { env: 'prod' } }),
  host('away-1', ['news', 'old'], { online: false, labels: { env: 'prod' } }),
];

function resolved(
  pattern: string,
  filter: Partial<HostFilter> = {},
  hosts: readonly HostRecord[] = fleet,
): string[] {
  const targets = resolveTargets(pattern, { hosts: [], labels: [], ...filter }, hosts);
  return targets.map(({ host: name, stack }) => `${name}:${stack}`);
}

function refusal(pattern: string, filter: Partial<HostFilter> = {}, hosts = fleet): KomposeError {
  try {
    resolved(pattern, filter, hosts);
  } catch (error) {
    if (error instanceof KomposeError) return error;
    throw error;
  }
  return assert.fail('nothing was thrown');
}

describe('resolveTargets', () => {
  test('gives what matches on online hosts and what away ones last told, by host, then stack', () => {
    assert.deepEqual(resolved('*'), [
      'away-1:news',
      'away-1:old',
      'prod-1:news',
      'prod-1:sexy',
      'prod-2:blog',
      'prod-2:sexy',
      'staging-1:sexy',
    ]);
    assert.deepEqual(resolved('prod-*:sexy,news,news'), [
      'away-1:news',
      'prod-1:news',
      'prod-1:sexy',
      'prod-2:sexy',
    ]);
  });

  test('looks only at hosts that --host and --label choose', () => {
    assert.deepEqual(resolved('sexy', { hosts: ['prod-1'] }), ['prod-1:sexy']);
    assert.deepEqual(resolved('sexy', { labels: ['env=prod'] }), ['prod-1:sexy', 'prod-2:sexy']);
    assert.deepEqual(resolved('sexy', { hosts: ['prod-*,!prod-2'], labels: ['env=prod'] }), ['prod-1:sexy']);
  });

  const away: readonly {
    title: string;
    pattern: string;
    filter?: Partial<HostFilter>;
    targets: readonly string[];
  }[] = [
    {
      title: 'a literal stack on an away host that the pattern names',
      pattern: 'away-1:new',
      targets: ['away-1:new'],
    },
    {
      title: 'a literal stack on an away host that --host names',
      pattern: 'new',
      filter: { hosts: ['away-1'] },
      targets: ['away-1:new'],
    },
    {
      title: 'likewise in a list of --host',
      pattern: 'new',
      filter: { hosts: ['prod-1,away-1'] },
      targets: ['away-1:new'],
    },
    {
      title: 'no literal stack on a host that is away but not named',
      pattern: 'sexy',
      targets: ['prod-1:sexy', 'prod-2:sexy', 'staging-1:sexy'],
    },
    { title: 'each once, known or named', pattern: 'away-1:news', targets: ['away-1:news'] },
    {
      title: 'not what the pattern excludes',
      pattern: 'away-1:new,news,!away-1:*',
      targets: ['prod-1:news'],
    },
  ];
  for (const { title, pattern, filter, targets } of away) {
    test(`gives ${title}`, () => assert.deepEqual(resolved(pattern, filter), targets));
  }

  test('gives no unknown stack of a host that is online', () => {
    assert.equal(refusal('prod-1:new').code, 'not-found');
    assert.equal(refusal('new', { hosts: ['prod-1'] }).code, 'not-found');
  });

  test('gives no glob’s stack of an away host that it did not tell of', () => {
    assert.equal(refusal('away-1:x*').code, 'not-found');
  });

  test('gives a literal stack on hosts that joined and never told anything, if nothing else matches', () => {
    const hosts = [host('b', undefined, { online: false }), host('a', undefined, { online: false })];
    assert.deepEqual(resolved('sexy', {}, hosts), ['a:sexy', 'b:sexy']);
    assert.deepEqual(resolved('sexy', {}, [...hosts, host('c', ['sexy'])]), ['c:sexy']);
    assert.equal(refusal('*', {}, hosts).code, 'not-found');
  });

  const misses: readonly { pattern: string; filter?: Partial<HostFilter>; says: RegExp }[] = [
    { pattern: 'sxey', says: /^nothing matches sxey; did you mean sexy\?$/ },
    { pattern: ':sxey', says: /did you mean/ },
    { pattern: 'prod-1:sxey', says: /did you mean prod-1:sexy/ },
    { pattern: 'blgo', filter: { hosts: ['prod-1'] }, says: /did you mean blog\?/ },
    { pattern: 'sexy', filter: { hosts: ['prod1'] }, says: /^no host matches prod1; did you mean prod-1/ },
    { pattern: 'sexy', filter: { labels: ['env=nowhere'] }, says: /^no host matches env=nowhere \(kompose/ },
    { pattern: 'zzzzzz', says: /kompose stacks lists what is there/ },
  ];
  for (const { pattern, filter, says } of misses) {
    test(`names what is near ${JSON.stringify({ pattern, ...filter })}`, () => {
      const { code, message, exitCode } = refusal(pattern, filter);
      assert.equal(code, 'not-found');
      assert.equal(exitCode, 3);
      assert.match(message, says);
    });
  }

  test('says what to do where no host has joined', () => {
    assert.match(refusal('*', {}, []).message, /no host has joined yet: kompose tokens create --role agent/);
  });

  test('refuses a bad pattern before anything else', () => {
    assert.equal(refusal('{', {}, []).code, 'usage');
    assert.equal(refusal('*', { hosts: ['['] }).code, 'usage');
    assert.equal(refusal('*', { labels: ['=x'] }).code, 'usage');
  });
});
