import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Masker } from '../../../../common/redaction/masker.ts';
import { createVariable, opens, seal } from '../../../../common/signing/order.ts';
import { keepRequest, keptValues, type KeptRequest } from '../../../../controller/runs/kept-request.ts';
import { retryPlan, retryRequest, type RetryOrder } from '../../../../controller/runs/retry.ts';
import { allAtOnce } from '../../../../common/rollout.ts';
import type { RunRequest } from '../../../../controller/runs/run-request.ts';
import type { RunRequestsTable, RunsTable } from '../../../../controller/store/schema.ts';
import { taskStates } from '../../../../common/task-event.ts';
import { KomposeError, type ErrorCode } from '../../../../common/errors.ts';

const secret = 'hunter2hunter2';

const request: RunRequest = {
  pattern: '*',
  command: 'up',
  args: ['-d'],
  filter: { hosts: ['prod-*'], labels: [] },
  env: { TAG: 'v2', DB_PASSWORD: secret, URL: `pg://u:${secret}@db` },
  network: 'blue',
  timeoutMs: 3000,
  dryRun: true,
  detach: false,
  raw: false,
  hasStdin: false,
  rollout: { ...allAtOnce, batch: { count: 2, isPercent: false } },
  offline: { kind: 'wait', waitMs: 5 },
};

const run: RunsTable = {
  id: '01J',
  pattern: '*',
  command: 'up',
  args: '["-d"]',
  user: 'ada',
  state: 'failed',
  started_at: 1,
  finished_at: 2,
  exit_code: 1,
  targets: 8,
  counts: '{}',
  dry_run: 1,
  caller: null,
  cancelled: null,
  output_removed_at: null,
};

const values = {
  env: Object.entries(request.env).map(([name, value]) => createVariable(name, value)),
  network: createVariable('', 'blue'),
};

const row: RunRequestsTable = {
  run_id: '01J',
  request: JSON.stringify(keepRequest(request, (word) => new Masker([secret]).maskText(word), values)),
  has_stdin: 0,
  retry_of: null,
  signed_order: 'b3JkZXI=',
};

const tasks = taskStates.map((state) => {
  return { id: `task of ${state}`, host: 'prod-1', stack: state, state, signature: 'c2lnbmVk' };
});
const given = { DB_PASSWORD: secret, URL: 'pg://db' };

function order(env: Record<string, string> = given): Pick<RetryOrder, 'env' | 'detach'> {
  return { env, detach: true };
}

test('keeps no value that is a secret or holds one', () => {
  assert.ok(!row.request.includes(secret));
  assert.partialDeepStrictEqual(JSON.parse(row.request), {
    env: { TAG: 'v2' },
    secretNames: ['DB_PASSWORD', 'URL'],
  });
});

test('keeps what opens the other values in what was signed, and of the secret ones nothing', () => {
  const kept = JSON.parse(row.request) as KeptRequest;
  assert.deepEqual(Object.keys(kept.salts), ['TAG', '']);
  const { env, network } = keptValues(kept);
  const sealed = [...values.env.filter(({ name }) => name === 'TAG'), values.network].map(seal);
  for (const [at, variable] of [...env, network].entries()) {
    assert.ok(variable !== undefined && sealed[at] !== undefined && opens(variable, sealed[at]));
  }
});

test('asks for a network that may not be kept by the name of its variable', () => {
  const keptWord = (word: string): string => (word === 'blue' ? '[redacted]' : word);
  const kept = keepRequest({ ...request, env: {} }, keptWord, { ...values, env: [] });
  assert.deepEqual([kept.network, kept.secretNames], [undefined, ['NETWORK_NAME']]);
  const overruled = keepRequest({ ...request, env: { NETWORK_NAME: 'red' } }, keptWord, values);
  assert.deepEqual([overruled.network, overruled.secretNames], [undefined, []]);
});

test('repeats everything that did not succeed, by name, with the same options', () => {
  const repeated = retryRequest(retryPlan(run, row, tasks), order());
  const stacks = taskStates.filter((state) => state !== 'succeeded');
  assert.deepEqual(repeated, {
    ...request,
    pattern: stacks.map((stack) => `prod-1:${stack}`).join(','),
    filter: { hosts: [], labels: [] },
    env: { TAG: 'v2', ...given },
    detach: true,
    rollout: { ...request.rollout, maxFailures: undefined },
  });
});

const refused: readonly [what: string, attempt: () => unknown, code: ErrorCode, part: string][] = [
  ['a run under way', () => retryPlan({ ...run, finished_at: null }, row, tasks), 'conflict', 'attach 01J'],
  ['a run of which nothing is kept', () => retryPlan(run, undefined, tasks), 'usage', 'is not kept'],
  [
    'what nobody signed',
    () => retryPlan(run, { ...row, signed_order: null }, tasks),
    'usage',
    'what its user signed is not kept',
  ],
  ['a run with a stdin', () => retryPlan(run, { ...row, has_stdin: 1 }, tasks), 'usage', 'standard input'],
  [
    'masked arguments',
    () => retryPlan({ ...run, args: '["PW=[redacted]"]' }, row, tasks),
    'usage',
    'its argument 1, "PW=[redacted]", is not kept whole: it holds, or might hold, a secret; type the command again',
  ],
  [
    'missing secrets',
    () => retryRequest(retryPlan(run, row, tasks), order({ URL: 'x' })),
    'usage',
    '-e DB_PASSWORD=…',
  ],
  [
    'other variables',
    () => retryRequest(retryPlan(run, row, tasks), order({ ...given, TAG: 'v3' })),
    'usage',
    '-e TAG is not asked for',
  ],
  [
    'a run that succeeded everywhere',
    () => retryRequest(retryPlan(run, row, tasks.slice(0, 1)), order()),
    'conflict',
    'succeeded everywhere',
  ],
];
for (const [what, attempt, code, part] of refused) {
  test(`refuses to repeat ${what}`, () => {
    assert.throws(attempt, (error) => {
      assert.ok(error instanceof KomposeError);
      assert.equal(error.code, code);
      assert.ok(error.message.includes(part), error.message);
      return true;
    });
  });
}
