import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { RunEvent, RunFinished, RunStarted, TaskFinished } from '../../../common/task-event.ts';
import { fromWireRunEvent } from '../../../proto/event-codec.ts';
import type { Identity } from '../../../proto/enrol.ts';
import type { RunEvent as WireRunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { type FleetClient, RunRequest, type StartRunInput } from '../../../proto/gen/kompose/v1/fleet.ts';
import { Inbox } from './inbox.ts';
import { versionMetadata } from './version-metadata.ts';

/** A user's client. */
export class TestUser {
  readonly client: FleetClient;
  readonly identity: Identity;

  constructor(client: FleetClient, identity: Identity) {
    this.client = client;
    this.identity = identity;
  }

  get metadata(): Metadata {
    return versionMetadata();
  }

  /** Asks for a run: `up -d` on everything unless told otherwise. */
  run(change: Partial<RunRequest> = {}): WatchedRun {
    const request = {
      ...RunRequest.decode(Buffer.alloc(0)),
      pattern: '*',
      command: 'up',
      args: ['-d'],
      ...change,
    };
    const stream = this.client.startRun(this.metadata);
    stream.write({ kind: { $case: 'request', value: request } });
    return new WatchedRun(stream);
  }

  /** All events of a run from this number on, to its end. */
  async watch(runId: string, afterSeq = 0): Promise<RunEvent[]> {
    const inbox = new Inbox<WireRunEvent>(this.client.watchRun({ runId, afterSeq }, this.metadata));
    await inbox.ended;
    return inbox.all.map(fromWireRunEvent);
  }
}

/** A run as the one who started it sees it. */
export class WatchedRun {
  readonly stream: ClientDuplexStream<StartRunInput, WireRunEvent>;
  readonly inbox: Inbox<WireRunEvent>;

  constructor(stream: ClientDuplexStream<StartRunInput, WireRunEvent>) {
    this.stream = stream;
    this.inbox = new Inbox(stream);
  }

  get events(): RunEvent[] {
    return this.inbox.all.map(fromWireRunEvent);
  }

  started(): Promise<RunStarted> {
    return this.inbox.next('the run’s beginning', (message) => {
      const { event } = fromWireRunEvent(message);
      return event.type === 'run.started' ? event : undefined;
    });
  }

  /** The run's own end. */
  finished(): Promise<RunFinished> {
    return this.inbox.next('the run’s end', (message) => {
      const { event } = fromWireRunEvent(message);
      return event.type === 'run.finished' ? event : undefined;
    });
  }

  /** How each task ended, by its target. */
  get ends(): Record<string, TaskFinished> {
    const [first] = this.events;
    const targets = first?.event.type === 'run.started' ? first.event.targets : [];
    const ends = this.events.flatMap(({ task, event }) => {
      const target = targets[task - 1];
      return event.type === 'task.finished' && target !== undefined
        ? [[`${target.host}:${target.stack}`, event] as const]
        : [];
    });
    return Object.fromEntries(ends);
  }

  cancel(): void {
    this.stream.write({ kind: { $case: 'cancel', value: {} } });
  }
}
