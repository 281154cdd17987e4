import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseBody } from '../../../common/roster/entry.ts';
import type {
  CreateTokenRequest,
  FleetServer,
  Host,
  HostStack,
  Run,
  Task,
} from '../../../proto/gen/kompose/v1/fleet.ts';
import { runCli } from './cli-process.ts';
import { hashSecret, tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { parseToken } from '../../../proto/enrolment-token.ts';
import { createKeys, FakeController } from './fake-controller.ts';

const noon = Date.UTC(2026, 0, 2, 12, 0, 0, 5);

const host: Host = {
  name: 'prod-1',
  labels: { zone: 'a', env: 'prod' },
  online: false,
  lastSeenUnixMs: noon,
  onlineSinceUnixMs: 0,
  agentVersion: '0.1.0',
  stacks: 2,
  certificateNotAfterUnixMs: Date.UTC(2126, 0, 2),
  joinedUnixMs: noon,
  clockSkewMs: -3,
};

const stack: HostStack = {
  host: 'prod-1',
  stack: 'sexy',
  composeFile: 'compose.yaml',
  hooks: ['hook_pre_up'],
  hasEnvFile: true,
  dumps: 2,
  online: true,
  servicesUp: ['db', 'web'],
  servicesError: '',
};

const run: Run = {
  id: '01J',
  pattern: '*',
  command: 'up',
  args: ['-d', 'a b'],
  user: 'ada',
  state: 'failed',
  startedUnixMs: noon,
  finishedUnixMs: noon + 1500,
  exitCode: 1,
  targets: 1,
  counts: { failed: 1 },
  dryRun: false,
};

const task: Task = {
  id: '01T',
  host: 'prod-1',
  stack: 'sexy',
  state: 'failed',
  reason: 'hook_pre_up ended with exit code 3',
  exitCode: 3,
  startedUnixMs: noon,
  finishedUnixMs: noon + 1500,
  steps: [{ step: 'pre', name: 'hook_pre_up', outcome: 'failed', exitCode: 3, durationMs: 400 }],
  dump: undefined,
};

const records = [
  '{"seq":1,"type":"run.started","time":"2026-01-02T12:00:00.005Z","actor":{"name":"ada"},"clientAddress":"10.0.0.9","pattern":"*","command":"up","args":["-d"],"targets":["a:b","c:d"]}',
  '{"seq":2,"type":"hook.finished","time":"2026-01-02T12:00:00.005Z","actor":{"name":"ada"},"host":"a","stack":"b","hook":{"name":"hook_pre_up","exitCode":3,"durationMs":400}}',
  '{"seq":3,"type":"from.the.future","what":{}}',
];

/** What the calls that change something were asked. */
const asked: object[] = [];

const fleet: Partial<FleetServer> = {
  listHosts: (call) => {
    for (const name of ['prod-1', 'prod-2', 'prod-3']) call.write({ ...host, name });
    call.end();
  },
  listStacks: (call) => {
    asked.push(call.request);
    call.write(stack);
    call.write({ ...stack, stack: 'news', servicesUp: [], servicesError: 'prod-1 is offline' });
    call.end();
  },
  listRuns: (call) => {
    asked.push(call.request);
    call.write(run);
    call.end();
  },
  getRun: (call, callback) => {
    asked.push(call.request);
    callback(null, { run, tasks: [task] });
  },
  listAudit: (call) => {
    records.forEach((json, index) => call.write({ seq: index + 1, json, script: '' }));
    call.end();
  },
  labelHost: (call, callback) => {
    asked.push(call.request);
    callback(null, host);
  },
  createToken: (call, callback) => {
    asked.push(call.request);
    callback(null, { id: 'T1', name: '', addresses: ['c:1'], caFingerprint: 'f' });
  },
  listUsers: (call) => call.end(),
};

let home: string;
let controller: FakeController;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'kompose-cli-'));
  controller = await FakeController.start({ fleet }, await createKeys());
  await runCli(home, 'login', controller.token);
});

after(async () => {
  await controller.kill();
  await rm(home, { recursive: true });
});

/** What `kompose` prints on stdout, once it has ended well. */
async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(home, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function objects(...args: string[]): Promise<unknown[]> {
  const lines = (await printed(...args, '-o', 'json')).split('\n');
  assert.equal(lines.pop(), '');
  return lines.map((line): unknown => JSON.parse(line));
}

test('lists hosts, as many as asked for', async () => {
  const text = await printed('hosts');
  assert.match(
    text,
    /^NAME +STATE +LAST SEEN +LABELS +STACKS +AGENT\nprod-1 +offline .* env=prod zone=a +2 +0\.1\.0\n/,
  );
  const rows = await objects('hosts', '--limit', '2');
  assert.equal(rows.length, 2);
  assert.deepEqual(rows[0], {
    name: 'prod-1',
    labels: { zone: 'a', env: 'prod' },
    online: false,
    lastSeen: '2026-01-02T12:00:00.005Z',
    onlineSince: null,
    stacks: 2,
    agentVersion: '0.1.0',
    joined: '2026-01-02T12:00:00.005Z',
    certificateExpires: '2126-01-02T00:00:00.000Z',
    clockSkewMs: -3,
  });
});

test('shows one host, or names the nearest', async () => {
  assert.match(await printed('hosts', 'show', 'prod-2'), /^name +prod-2\nstate +offline\n/);
  const { code, stderr } = await runCli(home, 'hosts', 'show', 'prod-9');
  assert.equal(code, 3);
  assert.equal(stderr, 'kompose: no host "prod-9": did you mean "prod-1" or "prod-2" or "prod-3"?\n');
});

test('sets labels and takes labels away', async () => {
  await printed('hosts', 'label', 'prod-1', 'env=prod', 'zone-', 'a=b-');
  assert.deepEqual(asked.at(-1), { name: 'prod-1', labels: { env: 'prod', a: 'b-' }, remove: ['zone'] });
});

test('lists stacks and what of them is up, for a pattern and for hosts', async () => {
  const rows = [
    {
      host: 'prod-1',
      stack: 'sexy',
      composeFile: 'compose.yaml',
      hooks: ['hook_pre_up'],
      env: true,
      dumps: 2,
      services: ['db', 'web'],
      online: true,
    },
    {
      host: 'prod-1',
      stack: 'news',
      composeFile: 'compose.yaml',
      hooks: ['hook_pre_up'],
      env: true,
      dumps: 2,
      services: null,
      servicesError: 'prod-1 is offline',
      online: true,
    },
  ];
  const filter = { hosts: ['prod-*'], labels: ['env=prod'] };
  for (const args of [
    ['-o', 'json', '-H', 'prod-*', '-L', 'env=prod', '-l', 'sexy'],
    ['-H', 'prod-*', 'stacks', '-L', 'env=prod', 'sexy', '-o', 'json'],
  ]) {
    assert.equal(await printed(...args), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    assert.deepEqual(asked.at(-1), { pattern: 'sexy', filter, withServices: true });
  }
  assert.match(await printed('-l'), /prod-1 +news .* - \(prod-1 is offline\)\n$/);
});

test('lists runs and shows one with its targets and steps', async () => {
  assert.match(await printed('runs'), /01J +failed .* 1\.5s +1 +ada +'\*' up -d 'a b'\n$/);
  await printed('runs', 'ls', '--limit', '7');
  assert.deepEqual(asked.at(-1), { limit: 7 });
  const text = await printed('runs', 'show', '01J');
  assert.match(text, /state +failed \(exit code 1\)\n/);
  assert.match(text, /prod-1:sexy +failed +1\.5s +3 +hook_pre_up ended with exit code 3\n/);
  assert.match(text, /prod-1:sexy +hook_pre_up +failed +3 +0\.4s\n$/);
  const [first, second] = await objects('runs', 'show', '01J');
  assert.partialDeepStrictEqual(first, { run: '01J', state: 'failed', exitCode: 1, counts: { failed: 1 } });
  assert.partialDeepStrictEqual(second, {
    run: '01J',
    task: '01T',
    host: 'prod-1',
    stack: 'sexy',
    state: 'failed',
  });
});

test('lists the audit: who, when, from where, what, on which targets, hooks with exit code and duration', async () => {
  const lines = (await printed('audit')).split('\n');
  assert.match(lines[1] ?? '', /^1 +2026-01-02 \S+ +ada +10\.0\.0\.9 +run\.started '\*' up -d +a:b c:d +-$/);
  assert.match(lines[2] ?? '', /^2 .* hook\.finished hook_pre_up +a:b +exit 3, 0\.4s$/);
  assert.match(lines[3] ?? '', /^3 .* from\.the\.future/);
  const text = await printed('audit', 'ls', '-o', 'json');
  assert.equal(text, `${records.join('\n')}\n`);
});

test('prints a new token alone', async () => {
  const args = ['--role', 'agent', '--label', 'env=prod', '--ttl', '2h', '--uses', '3'];
  const text = await printed('tokens', 'create', ...args);
  const { addresses, caFingerprint, seed, root, user } = parseToken(text);
  assert.equal(text.split('\n').length, 2);
  assert.deepEqual([addresses, caFingerprint, user], [['c:1'], 'f', '']);
  assert.match(root, /^[0-9a-f]{64}$/);
  assert.deepEqual(asked.at(-1), {
    role: 'agent',
    labels: { env: 'prod' },
    ttlMs: 7_200_000,
    uses: 3,
    name: '',
    replaces: '',
    secretHash: hashSecret(tokenSecrets(seed).secret),
    key: '',
    rosterEntries: [],
  });
  const invited = parseToken(await printed('tokens', 'create', '--role', 'viewer', '--name', 'bob'));
  const { secret, key } = tokenSecrets(invited.seed);
  const request = asked.at(-1) as CreateTokenRequest;
  assert.partialDeepStrictEqual(request, {
    role: 'viewer',
    name: 'bob',
    secretHash: hashSecret(secret),
    key: key.publicKey,
  });
  assert.equal(invited.user, 'bob');
  assert.partialDeepStrictEqual(parseBody(request.rosterEntries[0]?.body ?? ''), {
    type: 'invite',
    key: key.publicKey,
    user: 'bob',
    role: 'viewer',
    uses: 1,
  });
  assert.ok(!JSON.stringify(request).includes(invited.seed));
});

test('prints nothing on stdout where there is nothing', async () => {
  const { code, stdout, stderr } = await runCli(home, 'users');
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: 'no users\n' });
  assert.deepEqual(await objects('users'), []);
});
