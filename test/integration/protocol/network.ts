import type { StackStatus, StackSummary } from '../../../common/inventory.ts';
import type { HostSession, TaskOrder } from '../../../controller/fleet/host-session.ts';
import { KomposeError } from '../../../common/errors.ts';
import { refuseForeignTask } from '../../../controller/services/take-report.ts';
import type { ControllerCore } from './controller-core.ts';
import type { ModelHost, ModelTask } from './model-host.ts';

export type Upward =
  | { readonly kind: 'hello'; readonly openTasks: ReadonlySet<string> }
  | { readonly kind: 'refused'; readonly task: string; readonly isDenied: boolean };

export type Downward =
  | { readonly kind: 'start'; readonly task: string }
  | { readonly kind: 'cancel'; readonly task: string; readonly reason: string };

/*
 * An Attach stream whose messages wait on their way until somebody delivers them. As on a real one they keep their order,
 * and each end learns on its own that the link is lost: what is on the way to an agent then is lost with it, what it has sent
 * may arrive still, its hello too, beside those of the links that it has opened since.
 */
export class ModelLink implements HostSession {
  readonly host: string;
  readonly instanceId: string;
  readonly instanceStartedMs: number;
  readonly linkNumber: number;
  readonly connectedMs = 0;
  readonly sealingKey = undefined;
  readonly up: Upward[] = [];
  readonly down: Downward[] = [];
  readonly #agent: ModelHost;
  #core: ControllerCore | undefined;
  #hasLeft = false;
  #isOver = false;

  constructor(agent: ModelHost, instance: number, linkNumber: number) {
    this.#agent = agent;
    this.host = agent.name;
    this.instanceId = `${agent.name}/${instance}`;
    this.instanceStartedMs = instance;
    this.linkNumber = linkNumber;
  }

  /** The agent's end. */
  leave(): void {
    this.#hasLeft = true;
    this.down.length = 0;
  }

  startTask({ task }: TaskOrder): void {
    this.#tell({ kind: 'start', task });
  }

  cancelTask(task: string, reason: string): void {
    this.#tell({ kind: 'cancel', task, reason });
  }

  tellRoster(): void {}

  rescan(): Promise<readonly StackSummary[]> {
    return Promise.resolve([]);
  }

  askStatus(): Promise<readonly StackStatus[]> {
    return Promise.resolve([]);
  }

  maskWords(): Promise<readonly string[]> {
    return Promise.reject(new KomposeError('unsupported', 'it cannot'));
  }

  askGauges(): Promise<never> {
    return Promise.reject(new KomposeError('unsupported', 'it cannot'));
  }

  dismiss(): Promise<void> {
    return Promise.resolve();
  }

  end(): void {
    this.drop();
  }

  /** The controller's end. */
  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.up.length = 0;
    this.#core?.fleet.disconnect(this);
  }

  /** The controller's process is gone, and nobody hears of what it may still do. */
  die(): void {
    this.#isOver = true;
    this.up.length = 0;
    this.down.length = 0;
  }

  /** The next message reaches the controller; it is dealt with when this resolves. */
  async deliverUp(core: ControllerCore): Promise<void> {
    const message = this.up.shift();
    if (message === undefined || this.#isOver) return;
    try {
      await this.#receive(core, message);
    } catch (error) {
      // A later link of the agent was here, or the run has ended: as the service does, it ends the link.
      if (!['conflict', 'unreachable', 'not-found'].includes(KomposeError.from(error).code)) throw error;
      this.drop();
    }
  }

  async #receive(core: ControllerCore, message: Upward): Promise<void> {
    if (message.kind === 'hello') {
      this.#core = core;
      core.fleet.connect(this, { agentVersion: '1', trusts: '' }, message.openTasks);
      return;
    }
    const { task, isDenied } = message;
    refuseForeignTask(core.runs, task, this.host);
    await core.runs.ofTask(task).refuse(task, 'it cannot', isDenied);
  }

  /** The next message reaches the agent; once more, if it is repeated. */
  deliverDown(isRepeated: boolean): void {
    const message = isRepeated ? this.down[0] : this.down.shift();
    if (message === undefined || this.#hasLeft) return;
    if (message.kind === 'start') this.#agent.startTask(this, message.task);
    else this.#agent.cancelTask(message.task, message.reason);
  }

  deliverAllDown(): void {
    while (this.down.length > 0) this.deliverDown(false);
  }

  #tell(message: Downward): void {
    if (this.#isOver) return;
    if (message.kind === 'start' && this.#agent.isOver) this.#agent.askedTooLate.push(message.task);
    if (!this.#hasLeft) this.down.push(message);
  }
}

/*
 * A Report stream: batches of events wait on their way to the controller, acknowledgements on their way back. One that was
 * cut off at the agent's end may deliver still, beside the one that the agent has opened in its place.
 */
export class ModelReport {
  readonly #agent: ModelHost;
  readonly #link: ModelLink;
  readonly #task: ModelTask;
  /** Numbers of the last events of batches that are on their way. */
  readonly #up: { readonly after: number; readonly last: number }[] = [];
  readonly #acks: number[] = [];
  #sent: number | undefined;
  #isOpened = false;
  #isOver = false;

  constructor(agent: ModelHost, link: ModelLink, task: ModelTask) {
    this.#agent = agent;
    this.#link = link;
    this.#task = task;
  }

  /** The agent sends what it has told since, once it knows from where on. */
  send(most: number): void {
    if (this.#sent === undefined || !this.#isTheAgents) return;
    const last = Math.min(this.#task.events.length, this.#sent + most);
    if (last === this.#sent) return;
    this.#up.push({ after: this.#sent, last });
    this.#sent = last;
  }

  /** The controller's process is gone. */
  die(): void {
    this.#isOver = true;
  }

  /** The opening, or the next batch, reaches the controller; the latter once more, if it is repeated. */
  async deliverUp(core: ControllerCore, isRepeated: boolean): Promise<void> {
    if (this.#isOver) return;
    const { id } = this.#task;
    try {
      if (!this.#isOpened) {
        this.#isOpened = true;
        refuseForeignTask(core.runs, id, this.#agent.name);
        this.#acks.push(core.runs.ofTask(id).lastSeq(id));
        return;
      }
      const batch = isRepeated ? this.#up[0] : this.#up.shift();
      if (batch === undefined) return;
      const run = core.runs.ofTask(id);
      await run.take(id, this.#task.events.slice(batch.after, batch.last), '1');
      if (!this.#isOver) this.#acks.push(run.lastSeq(id));
    } catch (error) {
      if (KomposeError.from(error).code !== 'not-found') throw error;
      this.#isOver = true;
      if (this.#isTheAgents) this.#agent.forget(this.#task);
    }
  }

  /** The oldest acknowledgement that is on its way reaches the agent. */
  deliverDown(): void {
    const seq = this.#acks.shift();
    if (seq === undefined || !this.#isTheAgents) return;
    this.#sent ??= Math.min(seq, this.#task.events.length);
    this.#task.acknowledged = Math.max(this.#task.acknowledged, seq);
    if (this.#task.end !== undefined && seq >= this.#task.events.length) this.#agent.forget(this.#task);
  }

  get #isTheAgents(): boolean {
    return this.#agent.link === this.#link;
  }
}
