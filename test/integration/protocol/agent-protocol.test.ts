import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { Bench } from '../agent/bench.ts';
import { AgentWorld, gatedHooks, stackName, taskCount } from './agent-world.ts';
import { Happening } from './happening.ts';

const task = fc.nat(taskCount - 1);
const pick = fc.nat(7);

type Step = Happening<object, AgentWorld>;

function of(name: string, happen: (world: AgentWorld) => Promise<void> | void): Step {
  return new Happening(name, happen);
}

const start = task.map((t) =>
  of(`ask for task ${t}`, (world) => withTask(world, t, (each) => world.start(each))),
);
const cancel = task.map((t) =>
  of(`cancel task ${t}`, (world) =>
    withTask(world, t, (each) => {
      if (each.isAsked) world.cancel(each);
    }),
  ),
);
const gate = fc
  .tuple(task, fc.constantFrom(0, 0, 1))
  .map(([t, code]) =>
    of(`task ${t} goes on to ${code}`, (world) => withTask(world, t, (each) => world.openGate(each, code))),
  );

function withTask(world: AgentWorld, place: number, act: (task: AgentWorld['tasks'][number]) => void): void {
  const one = world.tasks[place];
  if (one !== undefined) act(one);
}

const delivery = fc.tuple(pick, fc.boolean());
const down = delivery.map(([p, again]) =>
  of(`the agent hears ${p}${again ? ', not for the last time' : ''}`, (world) => world.deliverDown(p, again)),
);
const up = delivery.map(([p, again]) =>
  of(`the controller hears ${p}${again ? ', not for the last time' : ''}`, (world) =>
    world.deliverUp(p, again),
  ),
);
const ack = delivery.map(([p, again]) =>
  of(`acknowledgement ${p}${again ? ', not for the last time' : ''}`, (world) => world.deliverAck(p, again)),
);
const link = fc.constant(of('link anew', (world) => world.link()));
const lose = fc.constant(of('lose the link', (world) => world.lose()));
const kill = fc.constant(
  of('kill the agent', async (world) => {
    await world.kill();
    await world.startAgent();
  }),
);

const happenings = fc.commands<object, AgentWorld, false>(
  [start, start, down, down, down, up, up, ack, ack, gate, cancel, link, lose, kill],
  { maxCommands: 40, size: 'max' },
);

async function makeWorld(t: TestContext): Promise<AgentWorld> {
  const bench = await Bench.create(t);
  for (const name of new Set(Array.from({ length: taskCount }, (_, place) => stackName(place))))
    await bench.stack(name, { hooks: gatedHooks });
  return AgentWorld.create(bench);
}

test('an agent starts no task twice and tells the end that it had, whatever becomes of messages, links and its process', async (t) => {
  const property = fc.asyncProperty(happenings, async (commands) => {
    const world = await makeWorld(t);
    try {
      await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
      await world.heal();
      await world.repeatAll();
      world.check();
    } finally {
      await world.kill();
    }
  });
  await fc.assert(property, { numRuns: 12, endOnFailure: true });
});
