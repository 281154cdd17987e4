import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeTaskEvent, eventsIn, fromWireRunEvent, wrapTaskEvent } from '../../../proto/event-codec.ts';
import { RunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { decodeLogged, joinEvents, passingFleetService } from '../../../proto/passing-fleet.ts';

function logged(seq: number, text: string): Uint8Array {
  const event = { type: 'notice', text } as const;
  return wrapTaskEvent(seq, 1, 5, encodeTaskEvent({ seq, timeMs: 5, event }));
}

/** What a client makes of it. */
function received(event: RunEvent) {
  const message = RunEvent.decode(passingFleetService.watchRun.responseSerialize(event));
  return Array.from(eventsIn(message), fromWireRunEvent);
}

test('events that go together are each what they were, in order, those that were changed on their way too', () => {
  const [one, two, three] = [logged(1, 'one'), logged(2, 'x'.repeat(300)), logged(3, 'three')].map(
    decodeLogged,
  );
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const events = [one, two, { ...three, task: 7 }] as const;
  assert.deepEqual(received(joinEvents(events)), events.map(fromWireRunEvent));
});

test('one event alone goes as it is', () => {
  const event = decodeLogged(logged(1, 'one'));
  assert.deepEqual(received(joinEvents([event])), [fromWireRunEvent(event)]);
  assert.deepEqual(passingFleetService.watchRun.responseSerialize(event), Buffer.from(logged(1, 'one')));
});
