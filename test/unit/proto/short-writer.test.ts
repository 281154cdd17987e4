import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AgentLinkService,
  AgentMessage,
  ControllerMessage,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { StepKind, StepOutcome, TaskEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { passingAgentLinkService, PassingAgentLinkClient } from '../../../proto/passing-link.ts';
import { ShortWriter } from '../../../proto/short-writer.ts';

const sizes = [0, 1, 100, 127, 128, 4_096, 5_000, 300_000];

function news(size: number): AgentMessage {
  const events = [Buffer.alloc(size, 7), Buffer.alloc(3, 9)];
  return { kind: { $case: 'taskNews', value: { taskId: `task-${size}`, events } } };
}

test('a short writer writes as protobuf does, whatever the length', () => {
  for (const size of sizes) {
    const expected = AgentMessage.encode(news(size)).finish();
    assert.deepEqual(AgentMessage.encode(news(size), new ShortWriter()).finish(), expected);
    const writer = new ShortWriter();
    AgentMessage.encode(news(size), writer);
    assert.deepEqual(writer.finishShared(), Buffer.from(expected));
  }
});

test('what one short writer gave stays as it is when others write, also in the middle of it', () => {
  const outer = new ShortWriter();
  outer.uint32(10).string('before');
  const inner = AgentMessage.encode(news(100), new ShortWriter());
  const between = AgentMessage.encode(news(90), new ShortWriter()).finish();
  outer.uint32(18).string('after');
  const [first, second] = [outer.finish(), inner.finish()];
  for (let turn = 0; turn < 10; turn++) AgentMessage.encode(news(110 + turn), new ShortWriter()).finish();
  assert.deepEqual(between, AgentMessage.encode(news(90)).finish());
  assert.deepEqual(second, AgentMessage.encode(news(100)).finish());
  assert.deepEqual(Buffer.from(first), Buffer.from('\n\u0006before\u0012\u0005after'));
});

test('a short writer writes numbers of all kinds, one message after the other', () => {
  const value = {
    step: StepKind.ACTION,
    name: 'ps',
    outcome: StepOutcome.FAILED,
    exitCode: -7,
    durationMs: 2 ** 40,
    outputSha256: 'ab',
    hookSha256: '',
    script: undefined,
  };
  const event = {
    seq: 2 ** 45,
    timeUnixMs: 1_700_000_000_000,
    kind: { $case: 'stepFinished', value },
  } as const;
  for (let turn = 0; turn < 3; turn++)
    assert.deepEqual(TaskEvent.encode(event, new ShortWriter()).finish(), TaskEvent.encode(event).finish());
});

test('what agent and controller tell each other over the link is encoded as protobuf has it', () => {
  const { attach } = PassingAgentLinkClient.service;
  for (const size of sizes)
    assert.deepEqual(
      attach.requestSerialize(news(size)),
      AgentLinkService.attach.requestSerialize(news(size)),
    );
  const order: ControllerMessage = {
    kind: { $case: 'cancelTask', value: { taskId: 'task', reason: 'a reason' } },
  };
  assert.deepEqual(
    passingAgentLinkService.attach.responseSerialize(order),
    Buffer.from(ControllerMessage.encode(order).finish()),
  );
});
