import { loadMembership } from '../../agent/config.ts';
import { markdownTable } from './document.ts';
import { RawRelay } from './fleet/raw-relay.ts';
import { summarise, type Bench, type Samples } from './measure.ts';
import { StreamFleet } from './streams/stream-fleet.ts';

const megabyte = 2 ** 20;
const bytes = 256 * megabyte;
const rounds = 3;
const tasks = 50;
const stacks = Array.from({ length: tasks }, (_, at) => `app-${String(at).padStart(2, '0')}`);

/** Of each, MB/s; of `start`, milliseconds. */
const subjects = ['raised', 'default', 'one', 'raisedFifty', 'fifty', 'start', 'startFifty'] as const;
type Rates = Readonly<Record<(typeof subjects)[number], Samples>>;

/** What a task prints, from its process to a client that follows it. */
export const bench: Bench<Rates> = {
  about: `${bytes / megabyte} MB that a task prints (masking on, recorded), from the agent to a client, and a bare relay of grpc-js`,
  async run(report) {
    await using fleet = await StreamFleet.start({ stacks });
    const { identity } = await loadMembership(fleet.agentState);
    await using raised = await RawRelay.start(fleet.state, identity, 'raised');
    await using standard = await RawRelay.start(fleet.state, identity, 'default');
    const [all, part, little] = await Promise.all([
      fleet.text(bytes),
      fleet.text(bytes / tasks - ((bytes / tasks) % megabyte)),
      fleet.text(1),
    ]);
    const sent = (bytes / tasks - ((bytes / tasks) % megabyte)) * tasks;
    const one = 'app-00';
    const found = Object.fromEntries(subjects.map((name) => [name, [] as number[]]));
    for (let round = -1; round < rounds; round++) {
      const startMs = await fleet.follow(one, little);
      const startFiftyMs = await fleet.follow('*', little);
      const measured: Record<(typeof subjects)[number], number> = {
        start: startMs,
        startFifty: startFiftyMs,
        raised: rate(bytes, await raised.pass(bytes)),
        one: rate(bytes, (await fleet.follow(one, all)) - startMs),
        default: rate(bytes, await standard.pass(bytes)),
        raisedFifty: rate(bytes, await raised.pass(bytes, tasks)),
        fifty: rate(sent, (await fleet.follow('*', part)) - startFiftyMs),
      };
      if (round < 0) continue;
      for (const name of subjects) found[name]?.push(measured[name]);
    }
    const samples = subjects.map((name) => [name, summarise(name, found[name] ?? [])] as const);
    for (const [name, { medianMs, minMs, maxMs }] of samples) {
      const unit = name.startsWith('start') ? 'ms' : 'MB/s';
      report(
        `${name.padEnd(12)} ${medianMs.toFixed(0)} ${unit} (${minMs.toFixed(0)} to ${maxMs.toFixed(0)})`,
      );
    }
    return Object.fromEntries(samples) as Rates;
  },
  inDocs: (rates) => {
    const spread = ({ medianMs, minMs, maxMs }: Samples): string =>
      `${medianMs.toFixed(0)} (${minMs.toFixed(0)}–${maxMs.toFixed(0)})`;
    const rows = [
      [
        'one task',
        spread(rates.raised),
        spread(rates.default),
        spread(rates.one),
        ratio(rates.one, rates.raised),
      ],
      [
        `${tasks} tasks together`,
        spread(rates.raisedFifty),
        '–',
        spread(rates.fifty),
        ratio(rates.fifty, rates.raisedFifty),
      ],
    ];
    const about = [
      'Median (least to most), MB/s. The bare relay is three processes (agent, server, client) with TLS on both legs, messages',
      'of 64 KiB and back-pressure; it makes its bytes up. Of kompose all is real but the engine: its agent starts a process',
      'that prints, masks and hashes what comes through a pipe, spools it, the controller keeps it in the run’s log, and the',
      'command line follows; of fifty tasks it prefixes each line. The time of a run that prints one byte is taken off',
      `(${rates.start.medianMs.toFixed(0)} ms for one task, ${rates.startFifty.medianMs.toFixed(0)} for ${tasks}). All of it shares the cores.`,
    ];
    const head = ['', 'grpc-js, windows of 4 MiB', 'its default windows', 'kompose', 'of grpc-js with 4 MiB'];
    return `${about.join('\n')}\n\n${markdownTable([head, ...rows])}`;
  },
  targets: (rates) => {
    const share = rates.one.medianMs / rates.raised.medianMs;
    const times = rates.one.medianMs / rates.default.medianMs;
    const sum = rates.fifty.medianMs / rates.one.medianMs;
    return [
      {
        what: 'relay, one task: rate, of grpc-js alone with windows of 4 MiB',
        limit: 'at least 0.8',
        measured: share.toFixed(2),
        isMet: share >= 0.8,
      },
      {
        what: 'relay, one task: rate, of grpc-js alone with its default windows',
        limit: 'at least 3',
        measured: times.toFixed(2),
        isMet: times >= 3,
      },
      {
        what: 'relay, fifty tasks together: rate, of one task',
        limit: 'at least 1',
        measured: sum.toFixed(2),
        isMet: sum >= 1,
      },
    ];
  },
};

function rate(size: number, ms: number): number {
  return size / megabyte / (ms / 1000);
}

function ratio(of: Samples, to: Samples): string {
  return (of.medianMs / to.medianMs).toFixed(2);
}
