import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { RunEvent, RunFinished, RunStarted, TaskFinished } from '../../../common/task-event.ts';
import { eventsIn, fromWireRunEvent } from '../../../proto/event-codec.ts';
import type { Identity } from '../../../proto/enrol.ts';
import type { RunEvent as WireRunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import {
  type FleetClient,
  RunRequest,
  type StartRunInput,
  type SyncRosterResponse,
} from '../../../proto/gen/kompose/v1/fleet.ts';
import { signRun } from '../../../cli/sign-run.ts';
import { changeEntry, type RosterChange, type RosterEntry } from '../../../common/roster/entry.ts';
import { Roster } from '../../../common/roster/roster.ts';
import type { SigningKey } from '../../../common/signing/signing-key.ts';
import { createStdinKey } from '../../../common/signing/stdin-marks.ts';
import { Inbox } from './inbox.ts';
import { call } from './call.ts';
import { versionMetadata } from './version-metadata.ts';

/** A user's client. */
export class TestUser {
  readonly client: FleetClient;
  readonly identity: Identity;
  readonly #key: SigningKey | undefined;

  /** `key` is what the user signs with. */
  constructor(client: FleetClient, identity: Identity, key?: SigningKey) {
    this.client = client;
    this.identity = identity;
    this.#key = key;
  }

  get key(): SigningKey {
    if (this.#key === undefined) throw new Error('this user has no signing key');
    return this.#key;
  }

  get metadata(): Metadata {
    return versionMetadata();
  }

  async roster(): Promise<Roster> {
    const { part } = await call<SyncRosterResponse>((done) =>
      this.client.syncRoster({ count: 0, newer: undefined }, this.metadata, done),
    );
    return Roster.empty.extend(part?.entries ?? []);
  }

  /** The entry of a change to the roster, behind those that are there. */
  async entries(change: RosterChange): Promise<RosterEntry[]> {
    return [changeEntry(change, await this.roster(), this.key)];
  }

  async removeUser(name: string): Promise<void> {
    const rosterEntries = await this.entries({ type: 'remove', name });
    await call((done) => this.client.removeUser({ name, rosterEntries }, this.metadata, done));
  }

  async setUserRole(name: string, role: string): Promise<void> {
    const isSame = (await this.roster()).user(name)?.role === role;
    const rosterEntries = isSame ? [] : await this.entries({ type: 'role', name, role });
    await call((done) => this.client.setUserRole({ name, role, rosterEntries }, this.metadata, done));
  }

  /** Asks for a run, and signs it: `up -d` on everything unless told otherwise. */
  run(change: Partial<RunRequest> = {}): WatchedRun {
    const request = {
      ...RunRequest.decode(Buffer.alloc(0)),
      pattern: '*',
      command: 'up',
      args: ['-d'],
      ...change,
    };
    const stdinKey = createStdinKey();
    const stream = this.client.startRun(this.metadata);
    stream.on('data', ({ kind }: WireRunEvent) => {
      if (kind?.$case !== 'proposal') return;
      const value = signRun({ request, stdinKey }, kind.value, this.key, Date.now());
      stream.write({ kind: { $case: 'signed', value } });
    });
    stream.write({ kind: { $case: 'request', value: request } });
    return new WatchedRun(stream);
  }

  /** All events of a run from this number on, to its end. */
  async watch(runId: string, afterSeq = 0): Promise<RunEvent[]> {
    const inbox = new Inbox<WireRunEvent>(this.client.watchRun({ runId, afterSeq }, this.metadata), eventsIn);
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
    this.inbox = new Inbox(stream, eventsIn);
  }

  /** The proposal is none. */
  get events(): RunEvent[] {
    return this.inbox.all.filter(isEvent).map(fromWireRunEvent);
  }

  started(): Promise<RunStarted> {
    return this.inbox.next('the run’s beginning', (message) => {
      if (!isEvent(message)) return undefined;
      const { event } = fromWireRunEvent(message);
      return event.type === 'run.started' ? event : undefined;
    });
  }

  /** The run's own end. */
  finished(): Promise<RunFinished> {
    return this.inbox.next('the run’s end', (message) => {
      if (!isEvent(message)) return undefined;
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

function isEvent({ kind }: WireRunEvent): boolean {
  return kind?.$case !== 'proposal' && kind?.$case !== 'stdinProgress';
}
