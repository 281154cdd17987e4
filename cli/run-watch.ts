import { setTimeout as sleep } from 'node:timers/promises';
import { createBackoff } from '../common/backoff.ts';
import { KomposeError } from '../common/errors.ts';
import type { SigningKey } from '../common/signing/signing-key.ts';
import type { RunEvent } from '../common/task-event.ts';
import { eventsIn, fromWireRunEvent } from '../proto/event-codec.ts';
import type { RunEvent as WireRunEvent, RunProposal, StdinProgress } from '../proto/gen/kompose/v1/event.ts';
import type { StartRunInput } from '../proto/gen/kompose/v1/fleet.ts';
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import type { Fleet } from './client.ts';
import type { StdinPump } from '../common/stdin-pump.ts';
import { signRun, type AskedRun } from './sign-run.ts';
import { StdinSender } from './stdin-sender.ts';
import type { TerminalSession } from './terminal-session.ts';

/** How long a lost controller is looked for. The run does not need us. */
const patienceMs = 60_000;
/** A link that lived this long was a good one: what comes after it is a new loss. */
const goodLinkMs = 10_000;

type EventStream = ClientDuplexStream<StartRunInput, WireRunEvent> | ClientReadableStream<WireRunEvent>;

interface Watching {
  readonly connect: () => Promise<Fleet>;
  /** What to start, or the id (or its beginning) of the run to watch. */
  readonly run: AskedRun | string;
  /** Told what goes on with the link, for people. */
  readonly say: (text: string) => void;
  /** Ours, for the action of a run that we start. */
  readonly stdin?: StdinPump | undefined;
  /** Ours, lent to that action: it goes with the link that started the run. */
  readonly terminal?: TerminalSession | undefined;
}

/**
 * The events of one run, each once and in order, although the link to the controller may be lost in between.
 *
 * INVARIANTS
 * - A run is started at most once: only the first link sends a request, and once we have signed what the controller
 *   proposed, so that it may have arrived, every other link watches the run of that proposal.
 * - `#seq` is the number of the newest event handed out; what comes again is dropped.
 */
export class RunWatch {
  readonly #options: Watching;
  readonly #backoff = createBackoff(200, 5000);
  #runId: string | undefined;
  /** The id of the run that we signed; whether it was recorded shows on the next link. */
  #signedRun: string | undefined;
  #targetCount = 0;
  #mayRun = false;
  #seq = 0;
  #isCancelled = false;
  #sendCancel: (() => Promise<void>) | undefined;
  /** Of the link that started the run: only its call takes stdin. */
  #stdinSender: StdinSender | undefined;
  #linkedAtMs: number | undefined;
  #lostAtMs: number | undefined;

  constructor(options: Watching) {
    this.#options = options;
  }

  /** Known from the first event on. */
  get runId(): string | undefined {
    return this.#runId;
  }

  /** Known from the first event on. */
  get isOfOneTarget(): boolean {
    return this.#targetCount === 1;
  }

  /** Something was asked of the controller: the run may be under way, also if its id is not known. */
  get mayRun(): boolean {
    return this.#mayRun;
  }

  /**
   * Ends after `run.finished`. Errors: the controller's own of StartRun and WatchRun; `controller-unreachable`
   * when it stays away.
   */
  async *events(): AsyncGenerator<RunEvent, void, undefined> {
    for (;;) {
      try {
        for await (const event of this.#link()) {
          yield event;
          if (event.event.type === 'run.finished') return;
        }
        throw new KomposeError('controller-unreachable', 'the controller ended the stream of events');
      } catch (error) {
        await this.#bear(KomposeError.from(error));
      }
    }
  }

  /** Asks the run to end; its events tell the rest. Repeats itself on the next link if this one is lost. */
  cancel(): void {
    this.#isCancelled = true;
    this.#cancelOnLink();
  }

  async *#link(): AsyncGenerator<RunEvent, void, undefined> {
    using fleet = await this.#options.connect();
    this.#linkedAtMs = Date.now();
    const call = this.#open(fleet);
    this.#mayRun = true;
    if (this.#isCancelled) this.#cancelOnLink();
    try {
      for await (const message of fleet.read(call)) {
        if (message.kind?.$case === 'proposal') {
          this.#sign(message.kind.value, call, fleet.roster.key);
          continue;
        }
        if (message.kind?.$case === 'stdinProgress') {
          this.#giveStdin(message.kind.value);
          continue;
        }
        for (const each of eventsIn(message)) {
          if (each.auditHead !== undefined) fleet.auditWitness.saw(each.auditHead);
          const event = fromWireRunEvent(each);
          if (event.seq > this.#seq) yield this.#taken(event);
        }
      }
    } finally {
      this.#sendCancel = undefined;
      this.#stdinSender = undefined;
    }
  }

  /** Throws `denied` where the controller would start something else than we asked for. */
  #sign(proposal: RunProposal, call: EventStream, key: SigningKey): void {
    const { run } = this.#options;
    if (typeof run === 'string' || !('write' in call) || this.#signedRun !== undefined)
      throw new KomposeError('protocol', 'the controller proposes a run that nobody asked for');
    call.write({ kind: { $case: 'signed', value: signRun(run, proposal, key, Date.now()) } });
    this.#signedRun = proposal.runId;
    const [target] = proposal.targets;
    if (run.stdinKey !== undefined && target !== undefined)
      this.#stdinSender = new StdinSender(call, run.stdinKey, target.taskId);
  }

  #giveStdin({ taken, key }: StdinProgress): void {
    this.#stdinSender?.agree(key);
    this.#options.stdin?.progress(taken, (data, isEnd) => this.#stdinSender?.send(data, isEnd));
  }

  #open(fleet: Fleet): EventStream {
    const { run } = this.#options;
    const watched = this.#runId ?? (typeof run === 'string' ? run : this.#signedRun);
    if (watched !== undefined) {
      this.#sendCancel = async () => {
        await fleet.ask((answer) => fleet.client.cancelRun({ runId: this.#runId ?? watched }, answer));
      };
      return fleet.client.watchRun({ runId: watched, afterSeq: this.#seq });
    }
    const call = fleet.client.startRun();
    if (typeof run !== 'string') call.write({ kind: { $case: 'request', value: run.request } });
    this.#sendCancel = async () => {
      call.write({ kind: { $case: 'cancel', value: {} } });
    };
    this.#options.terminal?.listen((value) => {
      if (call.writable) call.write({ kind: { $case: 'resize', value } });
    });
    return call;
  }

  #taken(event: RunEvent): RunEvent {
    if (event.event.type === 'run.started') {
      this.#runId = event.event.run;
      this.#targetCount = event.event.targets.length;
    }
    this.#seq = event.seq;
    this.#lostAtMs = undefined;
    this.#backoff.reset();
    return event;
  }

  #cancelOnLink(): void {
    this.#sendCancel?.().catch((error: unknown) => {
      this.#options.say(`could not cancel: ${KomposeError.from(error).message}`);
    });
  }

  /** Waits before the next try, or throws if there is none. */
  async #bear(error: KomposeError): Promise<void> {
    this.#options.terminal?.end();
    if (!error.isRetryable) throw this.#isUnheardOf(error) ? this.#lostBeforeStart(error) : error;
    const run = this.#runId ?? this.#signedRun;
    if (run === undefined) throw this.#lostBeforeStart(error);
    const now = Date.now();
    const wasGood = this.#linkedAtMs !== undefined && now - this.#linkedAtMs > goodLinkMs;
    if (this.#lostAtMs === undefined || wasGood) {
      this.#lostAtMs = now;
      this.#options.say(`the link to the controller is lost; ${this.#fate()}, looking for the controller …`);
    }
    this.#linkedAtMs = undefined;
    if (now - this.#lostAtMs > patienceMs) throw gone(run, error);
    await sleep(this.#backoff.next());
  }

  #fate(): string {
    if (this.#runId === undefined) return 'whether the run has started is known when it is back';
    return this.#options.terminal === undefined ? 'the run goes on' : 'the run ends with it';
  }

  /** Of a run that we signed, whose record was not made before the link was lost. */
  #isUnheardOf({ code }: KomposeError): boolean {
    return code === 'not-found' && this.#runId === undefined && this.#signedRun !== undefined;
  }

  #lostBeforeStart(error: KomposeError): KomposeError {
    const mayHaveStarted = this.#mayRun && typeof this.#options.run !== 'string';
    const isLost = error.code === 'controller-unreachable' || this.#isUnheardOf(error);
    if (!mayHaveStarted || !isLost) return error;
    const message =
      'the link was lost before the controller said whether the run has started: see kompose runs ls';
    return new KomposeError('controller-unreachable', message, { cause: error });
  }
}

function gone(runId: string, cause: KomposeError): KomposeError {
  const message = `the controller has not come back; what becomes of the run: kompose runs attach ${runId}`;
  return new KomposeError('controller-unreachable', message, { cause });
}
