import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { RunEvent, TaskState } from '../../../common/task-event.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { ControllerCore, hostNames, type RunChoice } from './controller-core.ts';
import { ModelHost } from './model-host.ts';
import type { ModelLink, ModelReport } from './network.ts';

/** More than any run takes that gets what it waits for. */
const mostRounds = 60;

/** How it begins. */
export interface WorldChoice extends RunChoice {
  /** So many hosts are linked. */
  readonly linked: number;
}

/** A controller, its hosts, one run, and all that is on its way between them. */
export class World {
  readonly hosts = hostNames.map((name) => new ModelHost(name));
  readonly links: ModelLink[] = [];
  readonly reports: ModelReport[] = [];
  readonly #folder: string;
  #core: ControllerCore;
  #run = '';
  #processes = 0;
  #underWay: Promise<unknown>[] = [];

  private constructor(folder: string, core: ControllerCore) {
    this.#folder = folder;
    this.#core = core;
  }

  /** `template` is the folder of a prepared controller; `folder` is for this world alone. */
  static async create(template: string, folder: string, choice: WorldChoice): Promise<World> {
    cpSync(template, join(folder, '0'), { recursive: true });
    const core = await ControllerCore.open(join(folder, '0'));
    const world = new World(folder, core);
    for (const host of world.hosts.slice(0, choice.linked)) world.connect(host);
    for (const link of world.links) await link.deliverUp(core);
    world.#run = await core.start(choice);
    return world;
  }

  get run(): string {
    return this.#run;
  }

  get core(): ControllerCore {
    return this.#core;
  }

  /** Something goes on at the controller while other things happen. */
  begin(work: Promise<unknown>): void {
    this.#underWay.push(work);
    // Told when it is waited for.
    work.catch(() => undefined);
  }

  /** Resolves when the controller has dealt with all that has reached it. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay.splice(0));
    for (let turn = 0; turn < 6; turn++) {
      await this.#core.store.write(async () => undefined);
      await new Promise(setImmediate);
    }
  }

  /** The controller is killed at this moment, whatever it is doing, and started again. */
  async killController(): Promise<void> {
    const dead = this.#core;
    const folder = join(this.#folder, `${++this.#processes}`);
    dead.copyTo(folder);
    for (const each of [...this.links.splice(0), ...this.reports.splice(0)]) each.die();
    await Promise.allSettled(this.#underWay.splice(0));
    await dead.close();
    this.#core = await ControllerCore.open(folder);
  }

  async cancel(): Promise<void> {
    const process = this.#processes;
    if (this.#core.runs.live(this.run) === undefined) return;
    await this.#core.cancel(this.run);
    // What a controller does that was killed meanwhile is not there for the next.
    if (process === this.#processes) for (const host of this.hosts) host.isOver = true;
  }

  connect(host: ModelHost): void {
    this.links.push(host.connect());
  }

  /** A host's link stands, and it hears what it is asked for at once. */
  async link(host: ModelHost): Promise<void> {
    this.connect(host);
    const link = this.links.at(-1);
    await link?.deliverUp(this.#core);
    await this.settle();
    link?.deliverAllDown();
  }

  report(host: ModelHost): void {
    for (const task of host.open) {
      const report = host.report(task);
      if (report !== undefined) this.reports.push(report);
    }
  }

  /** The network works from now on, and every host goes on: until the run has ended and no host has anything to tell. */
  async heal(): Promise<void> {
    for (let round = 0; round < mostRounds; round++) {
      for (const host of this.hosts) this.connect(host);
      await this.#deliverAll();
      for (const host of this.hosts)
        for (const task of host.running)
          for (let each = 0; each < 4; each++) host.goOn(task, each > 2 ? 'succeeded' : undefined);
      for (const host of this.hosts) this.report(host);
      await this.#deliverAll();
      const isQuiet = this.hosts.every(({ open }) => open.length === 0);
      if (isQuiet && this.#core.runs.live(this.run) === undefined) return;
    }
    assert.fail('the run does not end though nothing is in its way');
  }

  async #deliverAll(): Promise<void> {
    for (let turn = 0; turn < 4; turn++) {
      for (const link of this.links) while (link.up.length > 0) await link.deliverUp(this.#core);
      await this.settle();
      for (const link of this.links) link.deliverAllDown();
      for (const report of this.reports) {
        await report.deliverUp(this.#core, false);
        report.deliverDown();
        report.send(Number.MAX_SAFE_INTEGER);
      }
      await this.settle();
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay.splice(0));
    await this.#core.close();
  }

  /** What must be so of every run that has ended, whatever has happened on its way. */
  async check(): Promise<void> {
    const events = await this.#core.eventsOf(this.run);
    const rows = new Map((await this.#core.rowsOf(this.run)).map(({ id, state }) => [id, state]));
    const [first] = events;
    assert.ok(first?.event.type === 'run.started');
    assert.equal(events.at(-1)?.event.type, 'run.finished');
    assert.equal(events.filter(({ event }) => event.type === 'run.finished').length, 1);
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, at) => at + 1),
    );
    for (const { askedTooLate } of this.hosts)
      assert.deepEqual(askedTooLate, [], 'a task is started after the run was cancelled');
    for (const [at, target] of first.event.targets.entries()) {
      const host = this.hosts.find(({ name }) => name === target.host);
      assert.ok(host !== undefined);
      const state = checkTask(
        host,
        target.task,
        events.filter(({ task }) => task === at + 1),
      );
      assert.equal(rows.get(target.task), state, 'the record and the log tell different ends');
    }
  }
}

/** Gives its end. */
function checkTask(host: ModelHost, task: string, events: readonly RunEvent[]): TaskState {
  const logged = events.flatMap((event) => ('taskSeq' in event ? [event] : []));
  const told = logged.filter(({ taskSeq }) => taskSeq > 0);
  const ends = logged.flatMap(({ event, taskSeq }) =>
    event.type === 'task.finished' ? [{ ...event, taskSeq }] : [],
  );
  const [end] = ends;
  assert.ok(end !== undefined && ends.length === 1, `the task has ${ends.length} ends`);
  assert.equal(logged.at(-1)?.event.type, 'task.finished', 'something follows the end');
  const begun = host.begun.get(task);
  const all = begun?.told.events ?? [];
  // Each once and in order, from the first on.
  assert.deepEqual(
    told.map(({ taskSeq: seq, timeMs, event }) =>
      Buffer.from(encodeTaskEvent({ seq, timeMs, event })).toString('hex'),
    ),
    all.slice(0, told.length).map((bytes) => Buffer.from(bytes).toString('hex')),
  );
  assert.ok((begun?.starts ?? 0) <= 1, 'the first step began twice');
  if (end.taskSeq > 0) {
    assert.equal(told.length, all.length);
    assert.equal(end.state, begun?.told.end);
    return end.state;
  }
  const acknowledged = begun?.told.acknowledged ?? 0;
  if (acknowledged !== Number.MAX_SAFE_INTEGER)
    assert.ok(told.length >= acknowledged, 'something was acknowledged that the log lacks');
  if (end.state !== 'lost')
    assert.equal(begun?.starts ?? 0, 0, `it ended ${end.state} (${end.reason}), and yet it began`);
  if (end.state === 'failed' || end.state === 'denied') assert.ok(host.refused.has(task));
  return end.state;
}
