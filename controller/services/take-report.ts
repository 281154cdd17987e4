import type { ServerDuplexStream } from '@grpc/grpc-js';
import { KomposeError } from '../../common/errors.ts';
import type { TaskControl, TaskReport } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { Run } from '../runs/run.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import type { StdinLink } from '../runs/stdin-relay.ts';
import type { AgentLinkDeps } from './agent-link-service.ts';
import { BoundedWriter } from './bounded-writer.ts';
import { NewestWriter } from './newest-writer.ts';
import { requirePeer } from './peer.ts';
import { checkStdinProgress } from './told-by-agents.ts';

type ReportCall = ServerDuplexStream<TaskReport, TaskControl>;

/** Takes a task's events; acknowledges what is in the log, and has been seen where somebody sets the pace. */
export async function takeReport(deps: AgentLinkDeps, call: ReportCall): Promise<void> {
  const { runs, fleet, handlers } = deps;
  const peer = requirePeer(call, 'host');
  fleet.checkCertificate(peer);
  const agentVersion = fleet.get(peer.name)?.agentVersion ?? '';
  const link = stdinLink(deps, call, peer.fingerprint);
  const acks = new Acknowledgements(call);
  let task: string | undefined;
  let isFed = false;
  for await (const { kind } of handlers.incoming<TaskReport>(call)) {
    if (kind?.$case === 'opening') {
      task = kind.value.taskId;
      refuseForeignTask(runs, task, peer.name);
      acks.tell(runs.ofTask(task).lastSeq(task));
    } else if (kind?.$case === 'events' && task !== undefined) {
      const run = runs.ofTask(task);
      const { events } = kind.value;
      await run.take(task, events, agentVersion);
      acks.onceSeen(run, task, sizeOfAll(events));
    } else if (kind?.$case === 'stdinProgress' && task !== undefined) {
      const run = runs.ofTask(task);
      const { taken, key } = checkStdinProgress(kind.value);
      run.stdin?.progress(taken, key);
      // An earlier process of the controller had the link to the client, and what had come over it.
      if (run.stdin === undefined) run.abandon('its stdin was lost when the controller was restarted');
      else if (!isFed) run.stdin.attach(link);
      isFed = true;
    } else {
      throw new KomposeError('protocol', 'a report is opened first, then holds events');
    }
  }
}

/** A host reports its own tasks only. */
export function refuseForeignTask(runs: RunRegistry, task: string, host: string): void {
  if (runs.ofTask(task).hostOf(task) === host) return;
  throw new KomposeError('not-found', `there is no open task ${task} of ${host}`);
}

/** A host that asks for stdin and does not read it loses its connection. */
function stdinLink({ limits, cut }: AgentLinkDeps, call: ReportCall, certificate: string): StdinLink {
  const giveUp = (): void => cut(call.getPeer(), certificate);
  const writer = new BoundedWriter(call, { sizeOf, mostBytes: limits.unreadBytes, giveUp });
  const sizes = new NewestWriter<TaskControl>(call);
  return {
    send: (piece) => writer.write({ kind: { $case: 'stdin', value: piece } }),
    resize: (size) => sizes.write({ kind: { $case: 'resize', value: size } }),
  };
}

/** With nothing in it that may be long. */
const someMessage = 128;

/** About: a piece of stdin is not put together twice. */
function sizeOf({ kind }: TaskControl): number {
  return someMessage + (kind?.$case === 'stdin' ? kind.value.data.length : 0);
}

function sizeOfAll(events: readonly Uint8Array[]): number {
  return events.reduce((sum, { length }) => sum + length, 0);
}

/** More of them are not waited for one by one. */
const mostWaits = 64;
/** Those of so long are told as one: each is a message. */
const gatherMs = 2;
/** An agent that has sent so much since it heard the last is not kept waiting: it may have four times that under way. */
const atOnceBytes = 256 * 1024;

/** How far a task's events are known here, as its agent is told. */
class Acknowledgements {
  readonly #call: NewestWriter<TaskControl>;
  #waits = 0;
  #isBehind = false;
  #seen = 0;
  /** Taken since the last was told. */
  #untoldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(call: ReportCall) {
    this.#call = new NewestWriter(call);
  }

  tell(seq: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#untoldBytes = 0;
    this.#call.write({ kind: { $case: 'ack', value: { seq } } });
  }

  /** Tells, when that has been seen, of what is in the log now: so many bytes more than at the last time. */
  onceSeen(run: Run, task: string, bytes: number): void {
    this.#untoldBytes += bytes;
    if (this.#waits >= mostWaits) {
      this.#isBehind = true;
      return;
    }
    const seq = run.lastSeq(task);
    this.#waits++;
    void run.seen().then(() => {
      this.#waits--;
      this.#tellSoon(seq);
      if (!this.#isBehind) return;
      this.#isBehind = false;
      this.onceSeen(run, task, 0);
    });
  }

  #tellSoon(seq: number): void {
    this.#seen = seq;
    if (this.#untoldBytes >= atOnceBytes) this.tell(seq);
    else this.#timer ??= setTimeout(() => this.tell(this.#seen), gatherMs);
  }
}
