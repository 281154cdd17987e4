import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signRun } from '../../../../cli/sign-run.ts';
import { rootEntry } from '../../../../common/roster/entry.ts';
import { Roster } from '../../../../common/roster/roster.ts';
import { createSigningKey } from '../../../../common/signing/signing-key.ts';
import { checkSigned } from '../../../../controller/runs/signed-run.ts';
import type { RunRequest } from '../../../../controller/runs/run-request.ts';
import { RunRequest as WireRunRequest } from '../../../../proto/gen/kompose/v1/fleet.ts';

const key = createSigningKey();
const root = rootEntry('ada', key);
const roster = Roster.empty.extend([root]);
const run = '01J0000000000000000000000R';
const targets = ['prod-1', 'prod-2'].map((host, at) => {
  return { task: `01J0000000000000000000000${at}`, host, stack: 'sexy' };
});
const wire = { ...WireRunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'up', args: ['-d'] };
const none = { env: {}, network: undefined, timeoutMs: 0, dryRun: false, raw: false, hasStdin: false };
const request: RunRequest = {
  ...none,
  pattern: '*',
  command: 'up',
  args: ['-d'],
  filter: { hosts: [], labels: [] },
  detach: true,
  rollout: { parallel: 0, batch: undefined, batchWaitMs: 0, maxFailures: undefined },
  offline: { kind: 'fail' },
};

/** What comes of it, with the first signatures in place of the user's own. */
function check(...first: Uint8Array[]): readonly string[] {
  const proposal = {
    runId: run,
    targets: targets.map(({ task, ...target }) => ({ taskId: task, ...target })),
  };
  const { order, env, network, signatures } = signRun({ request: wire }, proposal, key, Date.now());
  const all = [...first, ...signatures.slice(first.length)];
  const answer = { order, values: { env, network }, signatures: all };
  const signed = checkSigned(request, { run, targets }, answer, 'ada', roster);
  return [...signed.signatures.keys()];
}

const wrong = Buffer.alloc(64, 1);
const empty = Buffer.alloc(0);

test('a run whose order its user’s key has not signed is denied', () => {
  assert.throws(() => check(wrong), /a signature is wrong/);
  assert.throws(() => check(empty, wrong), /a signature is wrong/);
  assert.throws(() => check(empty, empty), /none of its tasks is signed/);
});

test('a run holds the signatures of the tasks that its user wants', () => {
  assert.deepEqual(
    check(),
    targets.map(({ task }) => task),
  );
  assert.deepEqual(check(empty), [targets[1]?.task]);
});
