import * as fc from 'fast-check';
import { mock } from 'node:test';
import type { TaskState } from '../../../common/task-event.ts';
import { hostNames, lostAfterMs, offlineWaitMs } from './controller-core.ts';
import { Happening as NamedHappening } from './happening.ts';
import type { World } from './world.ts';

/** What the generator knows of a run: who is linked, as far as their hosts know, and what is on its way for how long. */
export interface ProtocolModel {
  readonly linked: boolean[];
}

/** One thing that happens to the controller, a host, or what is on its way between them. */
class Happening extends NamedHappening<ProtocolModel, World> {}

const host = fc.nat(hostNames.length - 1);
const pick = fc.nat(7);

/** One of them; later ones are more. */
function at<Each>(all: readonly Each[], place: number): Each | undefined {
  return all.length === 0 ? undefined : all[place % all.length];
}

const connect = host.map(
  (h) =>
    new Happening(`connect ${h}`, (world, model) => {
      const one = world.hosts[h];
      if (one !== undefined) world.connect(one);
      model.linked[h] = true;
    }),
);

const lose = host.map(
  (h) =>
    new Happening(
      `host ${h} loses its link`,
      (world, model) => {
        world.hosts[h]?.lose();
        model.linked[h] = false;
      },
      ({ linked }) => linked[h] === true,
    ),
);

const drop = pick.map(
  (p) => new Happening(`the controller loses link ${p}`, (world) => at(world.links, p)?.drop()),
);

const up = pick.map(
  (p) =>
    new Happening(`link ${p} delivers to the controller`, (world) => {
      const link = at(world.links, p);
      if (link !== undefined) world.begin(link.deliverUp(world.core));
    }),
);

const down = fc
  .tuple(pick, fc.boolean())
  .map(
    ([p, isRepeated]) =>
      new Happening(
        `link ${p} delivers to the agent${isRepeated ? ', not for the last time' : ''}`,
        (world) => at(world.links, p)?.deliverDown(isRepeated),
      ),
  );

const ends: readonly (TaskState | undefined)[] = [undefined, undefined, 'succeeded', 'failed', 'timed-out'];
const goOn = fc.tuple(host, pick, fc.constantFrom(...ends)).map(
  ([h, p, end]) =>
    new Happening(`task ${p} of host ${h} goes on${end === undefined ? '' : ` to ${end}`}`, (world) => {
      const one = world.hosts[h];
      const task = at(one?.running ?? [], p);
      if (task !== undefined) one?.goOn(task, end);
    }),
);

const report = host.map(
  (h) =>
    new Happening(
      `host ${h} opens its reports`,
      (world) => {
        const one = world.hosts[h];
        if (one !== undefined) world.report(one);
      },
      ({ linked }) => linked[h] === true,
    ),
);

const send = fc
  .tuple(pick, fc.integer({ min: 1, max: 3 }))
  .map(
    ([p, most]) => new Happening(`report ${p} sends ${most}`, (world) => at(world.reports, p)?.send(most)),
  );

const events = fc.tuple(pick, fc.boolean()).map(
  ([p, isRepeated]) =>
    new Happening(`report ${p} delivers${isRepeated ? ', not for the last time' : ''}`, (world) => {
      const one = at(world.reports, p);
      if (one !== undefined) world.begin(one.deliverUp(world.core, isRepeated));
    }),
);

const ack = pick.map(
  (p) =>
    new Happening(`report ${p} hears an acknowledgement`, (world) => at(world.reports, p)?.deliverDown()),
);

const settle = fc.constant(new Happening('settle', (world) => world.settle()));

const cancel = fc.constant(new Happening('cancel', (world) => world.begin(world.cancel())));

const killController = fc.constant(new Happening('kill the controller', (world) => world.killController()));

const killAgent = fc.tuple(host, fc.boolean()).map(
  ([h, loses]) =>
    new Happening(`kill the agent of host ${h}${loses ? ' with its tasks' : ''}`, (world, model) => {
      world.hosts[h]?.restart(loses);
      model.linked[h] = false;
    }),
);

const refuse = fc.tuple(host, fc.constantFrom('denied', 'full')).map(
  ([h, why]) =>
    new Happening(`host ${h} will refuse: ${why}`, (world) => {
      const one = world.hosts[h];
      if (one !== undefined) one.refuses = why;
    }),
);

const wait = fc
  .constantFrom(offlineWaitMs, lostAfterMs)
  .map((ms) => new Happening(`wait ${ms} ms`, () => mock.timers.tick(ms)));

/** Hosts come back in a row as they do, so that runs get somewhere. */
const usual = host.map(
  (h) =>
    new Happening(`host ${h} is linked and hears all`, async (world, model) => {
      const one = world.hosts[h];
      if (one === undefined) return;
      await world.link(one);
      model.linked[h] = true;
    }),
);

/** Likewise for what a host has to tell; the batch may come again later. */
const tell = fc.tuple(host, fc.boolean(), fc.integer({ min: 1, max: 4 })).map(
  ([h, isRepeated, most]) =>
    new Happening(`host ${h} tells ${most}${isRepeated ? ', not for the last time' : ''}`, async (world) => {
      const one = world.hosts[h];
      if (one === undefined) return;
      const before = world.reports.length;
      world.report(one);
      for (const each of world.reports.slice(before)) {
        await each.deliverUp(world.core, false);
        each.deliverDown();
        each.send(most);
        world.begin(each.deliverUp(world.core, isRepeated));
      }
    }),
);

export const happenings = fc.commands<ProtocolModel, World, false>(
  [
    connect,
    lose,
    drop,
    up,
    down,
    goOn,
    goOn,
    report,
    send,
    send,
    events,
    events,
    ack,
    ack,
    settle,
    settle,
    usual,
    usual,
    tell,
    tell,
    tell,
    goOn,
    goOn,
    up,
    down,
    cancel,
    killController,
    killAgent,
    refuse,
    wait,
  ],
  { maxCommands: 60, size: 'max' },
);
