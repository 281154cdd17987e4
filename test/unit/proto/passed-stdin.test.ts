import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskControl } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { FleetService, StartRunInput } from '../../../proto/gen/kompose/v1/fleet.ts';
import { PassingFleetClient } from '../../../proto/passing-fleet.ts';
import { passingAgentLinkService } from '../../../proto/passing-link.ts';

const data = Buffer.from('a line of text\r\n');
const mark = Buffer.alloc(32, 7);

test('what a client sends is encoded as protobuf has it', () => {
  const { startRun } = PassingFleetClient.service;
  const piece = { $case: 'stdin', value: { data, isEnd: true, mark } } as const;
  for (const kind of [piece, { $case: 'cancel', value: {} } as const])
    assert.deepEqual(
      startRun.requestSerialize({ kind }),
      Buffer.from(StartRunInput.encode({ kind }).finish()),
    );
  assert.equal(startRun.path, FleetService.startRun.path);
});

test('what a task is given is encoded as protobuf has it', () => {
  const piece = { $case: 'stdin', value: { offset: 9, data, isEnd: false, mark } } as const;
  for (const kind of [piece, { $case: 'ack', value: { seq: 3 } } as const])
    assert.deepEqual(
      passingAgentLinkService.report.responseSerialize({ kind }),
      Buffer.from(TaskControl.encode({ kind }).finish()),
    );
});
