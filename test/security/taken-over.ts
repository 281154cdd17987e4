import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Server, type ServerDuplexStream } from '@grpc/grpc-js';
import { Authorities } from '../../controller/identity/authorities.ts';
import { createServerIdentities } from '../../controller/identity/server-identities.ts';
import { ControllerCredentials } from '../../controller/services/server-credentials.ts';
import {
  AgentLinkService,
  type AgentMessage,
  type ControllerMessage,
  type StartTask,
  type TaskRefused,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import { RunEvent } from '../../proto/gen/kompose/v1/event.ts';
import { FleetService, type StartRunInput } from '../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../proto/protocol-version.ts';
import { Inbox } from '../integration/controller/inbox.ts';

type Link = ServerDuplexStream<AgentMessage, ControllerMessage>;

/** What was signed for a task, as a controller keeps it. */
export interface KeptTask {
  readonly taskId: string;
  readonly stack: string;
  readonly order: Buffer;
  readonly signature: Buffer;
}

/** All that the disk of a controller holds of the tasks that were signed, oldest first. */
export function keptTasks(folder: string): KeptTask[] {
  const database = new DatabaseSync(join(folder, 'kompose.db'), { readOnly: true });
  try {
    const rows = database
      .prepare(
        'select tasks.id, stack, signed_order, signature from tasks join run_requests using (run_id) order by tasks.id',
      )
      .all();
    return rows.map((row) => ({
      taskId: String(row['id']),
      stack: String(row['stack']),
      order: Buffer.from(String(row['signed_order']), 'base64'),
      signature: Buffer.from(String(row['signature']), 'base64'),
    }));
  } finally {
    database.close();
  }
}

/** A program of an attacker's, in the place of a controller, with its keys and its database. */
export class TakenOver implements AsyncDisposable {
  readonly #server = new Server();
  #link: Link | undefined;
  #inbox: Inbox<AgentMessage> | undefined;
  #linked = Promise.withResolvers<void>();
  /** What a client is proposed that asks for a run, and what it answered. */
  readonly clients: Inbox<StartRunInput>[] = [];
  propose: RunEvent['kind'];

  /** `folder` is the controller's, `address` where it listened. */
  static async start(folder: string, address: string): Promise<TakenOver> {
    const taken = new TakenOver();
    const read = (file: string): Promise<string> => readFile(join(folder, file), 'utf8');
    const authority = { privateKey: await read('ca.key'), certificate: await read('ca.crt') };
    const authorities = new Authorities({ authority, retiring: undefined });
    const identities = await createServerIdentities(authorities, [address], Date.now());
    taken.#server.addService(AgentLinkService, {
      attach: (call: Link) => taken.#attach(call),
    });
    taken.#server.addService(FleetService, {
      startRun: (call: ServerDuplexStream<StartRunInput, RunEvent>) => taken.#startRun(call),
    });
    await new Promise<void>((resolve, reject) => {
      taken.#server.bindAsync(address, new ControllerCredentials(identities), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    return taken;
  }

  /** Resolves when an agent has said hello and been welcomed. */
  get linked(): Promise<void> {
    return this.#linked.promise;
  }

  say(kind: NonNullable<ControllerMessage['kind']>): void {
    this.#link?.write({ kind });
  }

  /** How the agent refuses a task. */
  async refusalOf(task: StartTask): Promise<TaskRefused> {
    if (this.#inbox === undefined) throw new Error('no agent is linked');
    this.say({ $case: 'startTask', value: task });
    return this.#inbox.next('a refusal', ({ kind }) =>
      kind?.$case === 'taskRefused' && kind.value.taskId === task.taskId ? kind.value : undefined,
    );
  }

  #attach(call: Link): void {
    this.#link = call;
    this.#inbox = new Inbox(call);
    const welcome = { protocolVersion, capabilities: [], controllerVersion: '0', heartbeatPeriodMs: 60_000 };
    const claims = {
      rosterRoot: '',
      rosterCount: 0,
      rosterHead: '',
      returnWithinMs: 0,
      auditHead: undefined,
    };
    void once(call, 'data').then(() => {
      this.say({ $case: 'welcome', value: { ...welcome, ...claims } });
      this.#linked.resolve();
    });
  }

  #startRun(call: ServerDuplexStream<StartRunInput, RunEvent>): void {
    this.clients.push(new Inbox(call));
    void once(call, 'data').then(() => {
      call.write({ ...RunEvent.decode(Buffer.alloc(0)), kind: this.propose });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }
}
