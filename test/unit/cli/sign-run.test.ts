import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signedRepetition } from '../../../cli/repeat-run.ts';
import { signRun, type AskedRun } from '../../../cli/sign-run.ts';
import { rootEntry } from '../../../common/roster/entry.ts';
import { Roster } from '../../../common/roster/roster.ts';
import { openOrder } from '../../../common/signing/order.ts';
import { taskText } from '../../../common/signing/signed-text.ts';
import { createSigningKey, isSignatureOf } from '../../../common/signing/signing-key.ts';
import { createStdinKey } from '../../../common/signing/stdin-marks.ts';
import { RunRequest, type PlanRetryResponse } from '../../../proto/gen/kompose/v1/fleet.ts';
import { decodeOrder } from '../../../proto/order-codec.ts';

const key = createSigningKey();
const nowMs = Date.parse('2030-01-01');
const runId = '01J0000000000000000000000R';

function request(change: Partial<RunRequest> = {}): RunRequest {
  const none = RunRequest.decode(Buffer.alloc(0));
  return { ...none, pattern: 'prod-*:{sexy,news}', command: 'up', args: ['-d'], ...change };
}

function proposal(...names: string[]) {
  const targets = names.map((name, at) => {
    const [host = '', stack = ''] = name.split(':');
    return { taskId: `01J0000000000000000000000${at}`, host, stack };
  });
  return { runId, targets };
}

function sign(asked: Partial<AskedRun>, ...names: string[]) {
  return signRun({ request: request(), ...asked }, proposal(...names), key, nowMs);
}

describe('what a client signs', () => {
  test('is each task, over the same order, that says what was asked for', () => {
    const asked = request({ env: { TAG: 'v1' }, network: 'blue', timeoutMs: 5, dryRun: true });
    const { order: bytes, env, network, signatures } = sign({ request: asked }, 'prod-1:sexy', 'prod-2:news');
    const order = decodeOrder(bytes);
    assert.deepEqual(openOrder(order, { env, network }), { env: { TAG: 'v1' }, network: 'blue' });
    const { command, args, timeoutMs, dryRun, pattern } = order;
    assert.deepEqual(
      { command, args, timeoutMs, dryRun, pattern, runId: order.runId },
      {
        command: 'up',
        args: ['-d'],
        timeoutMs: 5,
        dryRun: true,
        pattern: 'prod-*:{sexy,news}',
        runId,
      },
    );
    const text = taskText(bytes, { task: '01J00000000000000000000001', host: 'prod-2', stack: 'news' });
    assert.ok(isSignatureOf(key.publicKey, text, signatures[1] ?? Buffer.alloc(0)));
    assert.ok(!Buffer.from(bytes).includes('v1'), 'the value of a variable is not in what is signed');
  });

  test('says nothing of a terminal or stdin that the command does not take', () => {
    const terminal = { rows: 24, columns: 80, term: 'xterm' };
    const stdinKey = createStdinKey();
    const orderOf = (command: string, args: string[]) =>
      decodeOrder(
        sign({ request: request({ command, args, hasStdin: true, terminal }), stdinKey }, 'prod-1:sexy')
          .order,
      );
    const shown = ({ stdinKey: half, term }: { stdinKey: Uint8Array; term: string }) => [half, term];
    const { publicKey: half } = stdinKey;
    assert.deepEqual(shown(orderOf('exec', ['app', 'sh'])), [half, 'xterm']);
    assert.deepEqual(shown(orderOf('exec', ['-T', 'app', 'sh'])), [half, '']);
    assert.deepEqual(shown(orderOf('up', ['-d'])), [new Uint8Array(), '']);
  });

  test('has its force for as long as the user lets it wait', () => {
    const minutes = (change: Partial<RunRequest>, ...names: string[]): number => {
      const { notAfterUnixMs } = decodeOrder(sign({ request: request(change) }, ...names).order);
      return (notAfterUnixMs - nowMs) / 60_000;
    };
    const waiting = { offline: { kind: { $case: 'waitMs', value: 3_600_000 } } } as const;
    const share = { parallel: 0, batch: { count: 1, isPercent: false }, maxFailures: undefined };
    assert.equal(minutes({}, 'prod-1:sexy'), 10);
    assert.equal(minutes(waiting, 'prod-1:sexy'), 70);
    assert.equal(minutes({}, 'prod-1:sexy', 'prod-2:sexy'), 24 * 60);
    const batches = { rollout: { ...share, batchWaitMs: 600_000 } };
    assert.equal(minutes(batches, 'prod-1:sexy', 'prod-2:sexy'), 24 * 60 + 20);
  });

  test('leaves out what the user has not confirmed', () => {
    const { signatures } = sign({ confirmed: new Set(['prod-1:sexy']) }, 'prod-1:sexy', 'prod-2:sexy');
    assert.deepEqual(
      signatures.map(({ length }) => length),
      [64, 0],
    );
  });
});

describe('a client refuses to sign', () => {
  const refusals: readonly [what: string, attempt: () => unknown, why: RegExp][] = [
    ['a stack that was not asked for', () => sign({}, 'prod-1:sexy', 'prod-1:proxy'), /prod-1:proxy, which/],
    ['a host that was not asked for', () => sign({}, 'test-1:sexy'), /test-1:sexy, which/],
    [
      'a host that --host leaves out',
      () => sign({ request: request({ filter: { hosts: ['!prod-2'], labels: [] } }) }, 'prod-2:sexy'),
      /prod-2:sexy, which/,
    ],
    ['a target twice', () => sign({}, 'prod-1:sexy', 'prod-1:sexy'), /something twice/],
    [
      'an id twice',
      () => {
        const [first, second] = proposal('prod-1:sexy', 'prod-2:sexy').targets;
        const targets = [first, second].flatMap((each) =>
          each === undefined ? [] : [{ ...each, taskId: '01J00000000000000000000000' }],
        );
        return signRun({ request: request() }, { runId, targets }, key, nowMs);
      },
      /something twice/,
    ],
    [
      'a run without an id',
      () => signRun({ request: request() }, { ...proposal('prod-1:sexy'), runId: '' }, key, nowMs),
      /without an id/,
    ],
    [
      'what a repetition is not for',
      () => sign({ targets: new Set(['prod-1:sexy']) }, 'prod-2:sexy'),
      /prod-2:sexy, which/,
    ],
  ];
  for (const [what, attempt, why] of refusals) {
    test(what, () => assert.throws(attempt, { code: 'denied', message: why }));
  }
});

describe('a repetition', () => {
  const bob = createSigningKey();
  const roster = Roster.empty.extend([rootEntry('ada', key)]);
  const asked = request({ env: { TAG: 'v1', DB_PASSWORD: 'hunter2' }, network: 'blue' });

  function plan(change: Partial<PlanRetryResponse> = {}): PlanRetryResponse {
    const proposed = proposal('prod-1:sexy', 'prod-2:news');
    const { order, env, network, signatures } = signRun({ request: asked }, proposed, key, nowMs);
    const targets = proposed.targets.map((target, at) => {
      return { ...target, signature: signatures[at] ?? Buffer.alloc(0) };
    });
    const kept = env.filter(({ name }) => name === 'TAG');
    const told = { runId, targets, command: 'up', args: ['-d'], secretNames: ['DB_PASSWORD'], dryRun: false };
    return { ...told, order, env: kept, network, ...change };
  }

  test('is of what was signed, whatever the controller says that it was', () => {
    const { order, env, network, targets } = signedRepetition(
      plan({ command: 'down', args: ['-v'] }),
      roster,
    );
    assert.deepEqual([order.command, order.args], ['up', ['-d']]);
    assert.deepEqual([env, network], [{ TAG: 'v1' }, 'blue']);
    assert.deepEqual([...targets], ['prod-1:sexy', 'prod-2:news']);
  });

  test('asks for a network that is not kept as its variable', () => {
    const hidden = plan({ network: undefined, secretNames: ['DB_PASSWORD', 'NETWORK_NAME'] });
    assert.equal(signedRepetition(hidden, roster).network, undefined);
  });

  const salt = Buffer.alloc(16);
  const [target] = plan().targets;
  const refusals: readonly [what: string, change: Partial<PlanRetryResponse>, why: RegExp][] = [
    ['another run', { runId: '01J0000000000000000000000S' }, /another run was signed/],
    ['another value', { env: [{ name: 'TAG', value: 'v2', salt }] }, /not those that were signed/],
    ['a variable less', { env: [] }, /not those that were signed/],
    [
      'a variable that it wants to know',
      { secretNames: ['DB_PASSWORD', 'PATH'] },
      /not those that were signed/,
    ],
    ['a secret forgotten', { secretNames: [] }, /not those that were signed/],
    ['no network', { network: undefined }, /not those that were signed/],
    [
      'another stack',
      { targets: target === undefined ? [] : [{ ...target, stack: 'proxy' }] },
      /not signed for prod-1:proxy/,
    ],
  ];
  for (const [what, change, why] of refusals) {
    test(`is refused with ${what}`, () => {
      assert.throws(() => signedRepetition(plan(change), roster), { code: 'denied', message: why });
    });
  }

  test('is refused when its user is none any more', () => {
    const others = Roster.empty.extend([rootEntry('bob', bob)]);
    assert.throws(() => signedRepetition(plan(), others), { code: 'denied', message: /not in the roster/ });
  });
});
