import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskReport } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { OutputStream, RunEvent, StepKind, TaskEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { LongBytesWriter } from '../../../proto/long-bytes-writer.ts';

const sizes = [0, 1, 100, 127, 128, 5_000, 65_536, 300_000];

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at % 251);
}

test('writes messages in messages as protobuf does, whatever the length of their bytes', () => {
  for (const size of sizes) {
    const output = { step: StepKind.ACTION, stream: OutputStream.STDERR, data: bytesOf(size) };
    const event = {
      seq: 70_000,
      timeUnixMs: 1_700_000_000_000,
      kind: { $case: 'output', value: output },
    } as const;
    const expected = TaskEvent.encode(event).finish();
    assert.deepEqual(TaskEvent.encode(event, new LongBytesWriter()).finish(), expected);
  }
});

test('writes many bytes in one message, and what comes behind them', () => {
  const report = { kind: { $case: 'events', value: { events: sizes.map(bytesOf) } } } as const;
  const expected = TaskReport.encode(report).finish();
  assert.deepEqual(TaskReport.encode(report, new LongBytesWriter()).finish(), expected);
  const auditHead = { seq: 7, hash: 'aa', time: '2026-01-01', count: 8, key: 'k', signature: 's' };
  const event = {
    seq: 1,
    task: 2,
    timeUnixMs: 3,
    kind: { $case: 'taskEvent', value: bytesOf(70_000) } as const,
    auditHead,
    more: [bytesOf(7), bytesOf(70_000)],
  };
  assert.deepEqual(RunEvent.encode(event, new LongBytesWriter()).finish(), RunEvent.encode(event).finish());
});
