import { markdownTable } from './document.ts';
import { LightFleet } from './fleet/light-fleet.ts';
import { summarise, type Bench } from './measure.ts';
import { freePort } from '../fleet/free-port.ts';
import { Prototype } from './prototype/prototype.ts';
import { PrototypeTalk } from './prototype/talk.ts';
import { Broker } from './nats/broker.ts';

const blocks = 10;
const requestsABlock = 200;
const limit = 1.1;
/** About what a key that is typed is. */
const request = Buffer.from('a line of text\r\n');

/** Microseconds. */
interface Times {
  readonly p50: number;
  readonly p99: number;
}

interface Result {
  readonly nats: Times;
  readonly prototype: Times;
  readonly kompose: Times;
  /** Of kompose to NATS. */
  readonly ratio: number;
}

/** How long a key that is typed takes to be seen. */
export const bench: Bench<Result> = {
  about:
    'a request to another process and its answer: through the controller to a host, and through a NATS broker',
  async run(report) {
    await using fleet = await LightFleet.create(2, 1);
    await fleet.startController();
    await fleet.startAgents();
    const [one, other] = fleet.hosts;
    if (one === undefined || other === undefined) throw new Error('a host is missing');
    await using broker = await Broker.start(fleet.state, other.identity);
    const address = `127.0.0.1:${await freePort()}`;
    const { state } = fleet;
    await using _ = await Prototype.start({ address, state, agents: [{ hosts: [one] }] });
    using bare = new PrototypeTalk(address, other.identity);
    const talk = await fleet.user.talk(`${one.name}:sexy`);
    const ways = {
      nats: () => broker.ask(request),
      prototype: () => bare.ask(),
      kompose: () => talk.ask(request),
    };
    const times = { nats: [] as number[], prototype: [] as number[], kompose: [] as number[] };
    for (let block = -1; block < blocks; block++) {
      for (const way of ['nats', 'prototype', 'kompose'] as const) {
        const some = await timesOf(ways[way]);
        if (block >= 0) times[way].push(...some);
      }
    }
    await talk.end();
    const { nats, prototype, kompose } = times;
    const result = { nats: timesIn(nats), prototype: timesIn(prototype), kompose: timesIn(kompose) };
    const ratio = result.kompose.p50 / result.nats.p50;
    for (const [name, { p50, p99 }] of Object.entries(result))
      report(`${name.padEnd(10)} p50 ${p50.toFixed(0)} µs, p99 ${p99.toFixed(0)} µs`);
    report(`kompose: ${ratio.toFixed(2)} times NATS`);
    return { ...result, ratio };
  },
  inDocs: ({ nats, prototype, kompose, ratio }) => {
    const rows = Object.entries({ NATS: nats, prototype, kompose }).map(([name, { p50, p99 }]) => {
      return [name, p50.toFixed(0), p99.toFixed(0), (p50 / nats.p50).toFixed(2)];
    });
    const about = [
      'kompose: 16 bytes of stdin of an `exec` that is held open, marked as the user’s, through the controller to the agent, checked',
      'there and given to what is run (a stub, which says what it reads), and its output, masked and recorded, back the same way.',
      'NATS: a request of 16 bytes through nats-server, with mutual TLS, and its answer. The prototype: as much through a controller',
      'that does nothing but pass it on, by grpc-js; so near may kompose come to NATS at most. One after the other.',
    ];
    const table = markdownTable([['', 'p50, µs', 'p99, µs', 'p50, of NATS'], ...rows]);
    return `${about.join('\n')}\n\n${table}\n\nkompose takes ${ratio.toFixed(2)} times what NATS takes.`;
  },
  targets: ({ ratio }) => [
    {
      what: 'request and answer through the controller: p50, of NATS through its broker',
      limit: `at most ${limit}`,
      measured: ratio.toFixed(2),
      isMet: ratio <= limit,
    },
  ],
};

async function timesOf(one: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; count < requestsABlock; count++) {
    const startMs = performance.now();
    await one();
    times.push((performance.now() - startMs) * 1000);
  }
  return times;
}

function timesIn(all: readonly number[]): Times {
  const sorted = all.toSorted((a, b) => a - b);
  return { p50: summarise('', all).medianMs, p99: sorted[Math.floor(all.length * 0.99)] ?? Number.NaN };
}
