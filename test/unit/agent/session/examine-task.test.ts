import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { examineTask } from '../../../../agent/session/examine-task.ts';
import { signRun } from '../../../../cli/sign-run.ts';
import { KomposeError } from '../../../../common/errors.ts';
import { rootEntry } from '../../../../common/roster/entry.ts';
import { Roster } from '../../../../common/roster/roster.ts';
import { clockToleranceMs } from '../../../../common/signing/order.ts';
import { createSigningKey } from '../../../../common/signing/signing-key.ts';
import { createStdinKey } from '../../../../common/signing/stdin-marks.ts';
import type { StartTask } from '../../../../proto/gen/kompose/v1/agent_link.ts';
import { RunRequest } from '../../../../proto/gen/kompose/v1/fleet.ts';

const key = createSigningKey();
const stdinKey = createStdinKey();
const roster = Roster.empty.extend([rootEntry('ada', key)]);
const nowMs = Date.parse('2030-01-01');
const host = { name: 'prod-1', roster, nowMs };

function signed(change: Partial<RunRequest> = {}): StartTask {
  const none = RunRequest.decode(Buffer.alloc(0));
  const request = { ...none, pattern: '*', command: 'exec', args: ['app', 'sh'], env: { A: 'b' }, ...change };
  const target = { taskId: '01J0000000000000000000000T', host: 'prod-1', stack: 'sexy' };
  const proposal = { runId: '01J0000000000000000000000R', targets: [target] };
  const { order, env, network, signatures } = signRun({ request, stdinKey }, proposal, key, nowMs);
  const [signature = Buffer.alloc(0)] = signatures;
  const rest = { terminalSize: { rows: 30, columns: 90 }, output: undefined, sealed: new Uint8Array() };
  return { taskId: target.taskId, stack: target.stack, order, signature, env, network, ...rest };
}

test('gives a task as it was signed, and the name of whoever signed it', () => {
  const terminal = { rows: 24, columns: 80, term: 'xterm' };
  const { spec, notAfterMs } = examineTask(signed({ hasStdin: true, terminal, network: 'blue' }), host);
  assert.deepEqual(spec, {
    task: '01J0000000000000000000000T',
    run: '01J0000000000000000000000R',
    stack: 'sexy',
    command: 'exec',
    args: ['app', 'sh'],
    env: { A: 'b' },
    network: 'blue',
    timeoutMs: 0,
    dryRun: false,
    raw: false,
    hasStdin: true,
    stdinKey: stdinKey.publicKey,
    terminal: { term: 'xterm', rows: 30, columns: 90 },
    user: 'ada',
    output: undefined,
  });
  assert.equal(notAfterMs, nowMs + 10 * 60_000);
});

test('takes what comes late by as much as clocks may differ, and nothing later', () => {
  const message = signed();
  const { notAfterMs } = examineTask(message, host);
  examineTask(message, { ...host, nowMs: notAfterMs + clockToleranceMs });
  const late = { ...host, nowMs: notAfterMs + clockToleranceMs + 1 };
  assert.throws(() => examineTask(message, late), { code: 'denied', message: /lost its force 5m00s ago/ });
});

test('denies whatever else comes in the place of what was signed', () => {
  const good = signed();
  const bytes = fc.uint8Array({ maxLength: 300 });
  const flipped = (whole: Uint8Array) =>
    fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
      const copy = Buffer.from(whole);
      copy[at] = (copy[at] ?? 0) ^ bits;
      return copy;
    });
  const changes = fc.oneof(
    fc.record({ order: fc.oneof(bytes, flipped(good.order)) }),
    fc.record({ signature: fc.oneof(bytes, flipped(good.signature)) }),
    fc.record({ taskId: fc.string() }),
    fc.record({ stack: fc.string() }),
    fc.record({ env: fc.array(fc.record({ name: fc.string(), value: fc.string(), salt: bytes })) }),
  );
  fc.assert(
    fc.property(changes, (change) => {
      assert.throws(
        () => examineTask({ ...good, ...change }, host),
        (error) => error instanceof KomposeError && error.code === 'denied',
      );
    }),
    { numRuns: 1000 },
  );
});
