import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { KomposeError } from '../../../common/errors.ts';
import {
  taskStates,
  type RunEvent,
  type RunFinished,
  type RunStarted,
  type TaskEvent,
} from '../../../common/task-event.ts';
import {
  decodeRunEvent,
  decodeTaskEvent,
  encodeRunEvent,
  encodeTaskEvent,
  fromWireRunEvent,
  wrapTaskEvent,
} from '../../../proto/event-codec.ts';
import * as wire from '../../../proto/gen/kompose/v1/event.ts';

/** A record as the code makes them, with a prototype. */
function all<Fields extends object>(fields: {
  [Key in keyof Fields]: fc.Arbitrary<Fields[Key]>;
}): fc.Arbitrary<Fields> {
  return fc.record<Fields>(fields, { noNullPrototype: true });
}

const text = fc.string({ unit: 'binary' });
const state = fc.constantFrom(...taskStates);
const step = fc.constantFrom('pre', 'action', 'post', 'fail');
const seq = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const timeMs = fc.integer({ min: -1, max: 8_640_000_000_000_000 });
const durationMs = fc.nat();
const exitCode = fc.integer({ min: -1, max: 255 });

const taskEvent: fc.Arbitrary<TaskEvent> = fc.oneof(
  all({ type: fc.constant('task.queued'), waitingFor: text }),
  all({ type: fc.constant('task.started') }),
  all({ type: fc.constant('step.started'), step, name: text, argv: fc.array(text) }),
  all({
    type: fc.constant('output'),
    step,
    stream: fc.constantFrom('stdout', 'stderr'),
    data: fc.uint8Array(),
  }),
  all({
    type: fc.constant('step.finished'),
    step,
    name: text,
    outcome: fc.constantFrom('succeeded', 'failed', 'cancelled', 'timed-out'),
    exitCode,
    durationMs,
    hookSha256: text,
    outputSha256: text,
  }),
  all({
    type: fc.constant('plan.step'),
    step,
    name: text,
    argv: fc.array(text),
    cwd: text,
    envNames: fc.array(text),
    uncertain: fc.boolean(),
  }),
  all({ type: fc.constant('notice'), text }),
  all({
    type: fc.constant('notice'),
    text,
    outputAt: fc.record({ stdout: fc.nat(), stderr: fc.nat() }, { noNullPrototype: true }),
  }),
  fc.record(
    {
      type: fc.constant('task.finished'),
      state,
      exitCode,
      reason: text,
      durationMs,
      actionDecided: fc.boolean(),
    },
    { noNullPrototype: true, requiredKeys: ['type', 'state', 'reason', 'durationMs', 'actionDecided'] },
  ),
);

const ownEvent: fc.Arbitrary<RunStarted | RunFinished> = fc.oneof(
  all({
    type: fc.constant('run.started'),
    run: text,
    targets: fc.array(all({ task: text, host: text, stack: text })),
    pattern: text,
    command: text,
    args: fc.array(text),
    user: text,
    dryRun: fc.boolean(),
  }),
  all({
    type: fc.constant('run.finished'),
    state,
    counts: fc.dictionary(state, fc.nat({ max: 10_000 }), { noNullPrototype: true }),
    exitCode,
    durationMs,
  }),
);

/** Bytes of a protobuf field with a length, as a newer peer may send it. */
function field(number: number, content: Uint8Array): Uint8Array {
  assert.ok(number < 2048 && content.length < 128);
  const tag = (number << 3) | 2;
  return Buffer.from([(tag & 0x7f) | 0x80, tag >> 7, content.length, ...content]);
}

function refusesByName(decode: () => unknown, name: RegExp): void {
  assert.throws(decode, (error) => {
    assert.ok(error instanceof KomposeError, String(error));
    assert.equal(error.code, 'protocol');
    assert.match(error.message, name);
    return true;
  });
}

describe('a task’s event', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(seq, timeMs, taskEvent, (number, time, event) => {
        const numbered = { seq: number, timeMs: time, event };
        assert.deepEqual(decodeTaskEvent(encodeTaskEvent(numbered)), numbered);
      }),
    );
  });

  test('keeps every byte of output', () => {
    const data = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const event = { type: 'output', step: 'action', stream: 'stdout', data } as const;
    const decoded = decodeTaskEvent(encodeTaskEvent({ seq: 1, timeMs: 1, event })).event;
    assert.deepEqual(decoded, event);
  });

  test('keeps an exit code of 0 apart from none', () => {
    const end = {
      type: 'task.finished',
      state: 'succeeded',
      reason: '',
      durationMs: 0,
      actionDecided: true,
    } as const;
    const decoded = (event: TaskEvent): TaskEvent =>
      decodeTaskEvent(encodeTaskEvent({ seq: 1, timeMs: 1, event })).event;
    assert.ok(!('exitCode' in decoded(end)));
    assert.deepEqual(decoded({ ...end, exitCode: 0 }), { ...end, exitCode: 0 });
  });

  const unknown: readonly [title: string, kind: NonNullable<wire.TaskEvent['kind']>, name: RegExp][] = [
    [
      'state',
      {
        $case: 'finished',
        value: {
          state: 77 as wire.TaskState,
          exitCode: 0,
          reason: '',
          durationMs: 0,
          actionDecided: false,
          dump: undefined,
        },
      },
      /unknown task state \(77\)/,
    ],
    [
      'step',
      { $case: 'stepStarted', value: { step: 78 as wire.StepKind, name: '', argv: [] } },
      /unknown step \(78\)/,
    ],
    [
      'unspecified step',
      { $case: 'stepStarted', value: { step: wire.StepKind.UNSPECIFIED, name: '', argv: [] } },
      /unknown step \(0\)/,
    ],
    [
      'stream',
      {
        $case: 'output',
        value: { step: wire.StepKind.PRE, stream: 79 as wire.OutputStream, data: Buffer.alloc(0) },
      },
      /unknown output stream \(79\)/,
    ],
  ];
  for (const [title, kind, name] of unknown) {
    test(`with an unknown ${title} is refused by name`, () => {
      const bytes = wire.TaskEvent.encode({ seq: 1, timeUnixMs: 1, kind }).finish();
      refusesByName(() => decodeTaskEvent(bytes), name);
    });
  }

  test('with an unknown outcome is refused by name', () => {
    const value = {
      step: wire.StepKind.PRE,
      name: '',
      exitCode: 0,
      durationMs: 0,
      hookSha256: '',
      outputSha256: '',
    };
    const kind = {
      $case: 'stepFinished',
      value: { ...value, script: undefined, outcome: 80 as wire.StepOutcome },
    } as const;
    const bytes = wire.TaskEvent.encode({ seq: 1, timeUnixMs: 1, kind }).finish();
    refusesByName(() => decodeTaskEvent(bytes), /unknown step outcome \(80\)/);
  });

  test('of a kind that came later is refused', () => {
    const known = wire.TaskEvent.encode({ seq: 1, timeUnixMs: 1, kind: undefined }).finish();
    const bytes = Buffer.concat([known, field(99, Buffer.from('new'))]);
    refusesByName(() => decodeTaskEvent(bytes), /event of a kind that this version does not know/);
  });
});

describe('a run’s event', () => {
  test('of its own comes back as it was', () => {
    fc.assert(
      fc.property(seq, timeMs, ownEvent, (number, time, event) => {
        const decoded: RunEvent = decodeRunEvent(encodeRunEvent(number, time, event));
        assert.deepEqual(decoded, { seq: number, task: 0, timeMs: time, event });
      }),
    );
  });

  test('that passes on a task’s comes back with both numbers and the host’s time', () => {
    fc.assert(
      fc.property(
        seq,
        seq,
        fc.nat(),
        timeMs,
        timeMs,
        taskEvent,
        (number, taskSeq, task, time, hostTime, event) => {
          const inner = encodeTaskEvent({ seq: taskSeq, timeMs: hostTime, event });
          const decoded = decodeRunEvent(wrapTaskEvent(number, task, time, inner));
          assert.deepEqual(decoded, { seq: number, task, taskSeq, timeMs: hostTime, event });
        },
      ),
    );
  });

  test('of a kind that came later is refused', () => {
    refusesByName(
      () => decodeRunEvent(field(99, Buffer.from('new'))),
      /kind that this version does not know/,
    );
  });

  for (const word of ['exploded', '', 'constructor']) {
    test(`with the unknown state ${JSON.stringify(word)} is refused by name`, () => {
      const ended = (value: wire.RunFinished): wire.RunEvent => {
        const kind = { $case: 'finished', value } as const;
        return { seq: 1, task: 0, timeUnixMs: 1, kind, auditHead: undefined, more: [] };
      };
      const numbers = { exitCode: 0, durationMs: 0 };
      const name = new RegExp(`unknown state ${JSON.stringify(word)}`);
      refusesByName(() => fromWireRunEvent(ended({ state: word, counts: {}, ...numbers })), name);
      refusesByName(
        () => fromWireRunEvent(ended({ state: 'failed', counts: { [word]: 1 }, ...numbers })),
        name,
      );
    });
  }
});
