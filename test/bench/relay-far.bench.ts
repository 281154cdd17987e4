import { loadMembership } from '../../agent/config.ts';
import { markdownTable } from './document.ts';
import { Child } from './fleet/child.ts';
import { RawRelay } from './fleet/raw-relay.ts';
import { summarise, type Bench, type Samples } from './measure.ts';
import type { DelayQuestions } from './streams/delay-proxy.ts';
import { StreamFleet } from './streams/stream-fleet.ts';

const megabyte = 2 ** 20;
const bytes = 128 * megabyte;
/** With default windows a stream has 64 KiB a round trip. */
const fewBytes = 4 * megabyte;
const oneWayMs = 25;
const rounds = 3;

type Rates = Readonly<Record<'kompose' | 'raised' | 'default' | 'start', Samples>>;

/** Agent and client are far from the controller. */
export const bench: Bench<Rates> = {
  about: `what a task prints, at a round trip of ${2 * oneWayMs} ms between agent and controller and between controller and client`,
  async run(report) {
    const proxy = new Child<DelayQuestions>('../streams/delay-proxy.ts');
    const through = (to: string): Promise<string> => proxy.ask('listen', { to, delayMs: oneWayMs });
    try {
      await using fleet = await StreamFleet.start({ through });
      const { identity } = await loadMembership(fleet.agentState);
      await using raised = await RawRelay.start(fleet.state, identity, 'raised', through);
      await using standard = await RawRelay.start(fleet.state, identity, 'default', through);
      const [all, little] = await Promise.all([fleet.text(bytes), fleet.text(1)]);
      const found = {
        kompose: [] as number[],
        raised: [] as number[],
        default: [] as number[],
        start: [] as number[],
      };
      for (let round = 0; round < rounds; round++) {
        const startMs = await fleet.follow('app', little);
        found.start.push(startMs);
        found.kompose.push(rate(bytes, (await fleet.follow('app', all)) - startMs));
        found.raised.push(rate(bytes, await raised.pass(bytes)));
        found.default.push(rate(fewBytes, await standard.pass(fewBytes)));
      }
      const samples = Object.entries(found).map(([name, each]) => [name, summarise(name, each)] as const);
      for (const [name, { medianMs, minMs, maxMs }] of samples) {
        const unit = name === 'start' ? 'ms' : 'MB/s';
        report(
          `${name.padEnd(8)} ${medianMs.toFixed(1)} ${unit} (${minMs.toFixed(1)} to ${maxMs.toFixed(1)})`,
        );
      }
      return Object.fromEntries(samples) as Rates;
    } finally {
      await proxy.kill();
    }
  },
  inDocs: (rates) => {
    const spread = ({ medianMs, minMs, maxMs }: Samples): string =>
      `${medianMs.toFixed(1)} (${minMs.toFixed(1)}–${maxMs.toFixed(1)})`;
    const rows = [
      ['grpc-js, windows of 4 MiB', spread(rates.raised)],
      ['grpc-js, default windows', spread(rates.default)],
      ['kompose', spread(rates.kompose)],
    ];
    const about = [
      'Median (least to most). A process between them hands each chunk on 25 ms after it came, as many at a time as come; the',
      `time of a run that prints one byte (${rates.start.medianMs.toFixed(0)} ms) is taken off.`,
    ];
    return `${about.join('\n')}\n\n${markdownTable([['', 'MB/s'], ...rows])}`;
  },
  targets: ({ kompose }) => [
    {
      what: 'relay at 50 ms round trip, one task',
      limit: 'at least 20 MB/s',
      measured: `${kompose.medianMs.toFixed(1)} MB/s`,
      isMet: kompose.medianMs >= 20,
    },
  ],
};

function rate(size: number, ms: number): number {
  return size / megabyte / (ms / 1000);
}
