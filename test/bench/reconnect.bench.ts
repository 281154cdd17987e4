import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from './document.ts';
import { LightFleet } from './fleet/light-fleet.ts';
import { residentKb } from './fleet/process-cost.ts';
import { RawFleet } from './fleet/raw-fleet.ts';
import { summarise, type Bench, type Samples } from './measure.ts';

const agents = 1_000;
const rounds = 5;
/** The links that stand have had time to become quiet. */
const restMs = 10_000;

/** Of one time that the controller was killed. */
interface Return {
  /** From the kill until it listens again. */
  readonly startMs: number;
  /** From then until the last agent is welcome. */
  readonly backMs: number;
  readonly idleKb: number;
  readonly peakKb: number;
  /** Of the run that was under way: the tasks that ended well. */
  readonly succeeded: number;
}

interface Result {
  readonly handshakes: Samples;
  readonly start: Samples;
  readonly back: Samples;
  readonly ratio: number;
  readonly peakRatio: number;
  readonly returns: readonly Return[];
}

/** A fleet comes back to a controller that was killed, in the middle of a run on all of it. */
export const bench: Bench<Result> = {
  about: `${agents} light agents come back to a controller that was killed with a run on all of them under way`,
  async run(report) {
    await using fleet = await LightFleet.create(agents);
    await fleet.startController();
    await fleet.startAgents();
    const handshakes: number[] = [];
    const returns: Return[] = [];
    for (let round = 0; round < rounds; round++) {
      handshakes.push(await bareHandshakes(fleet));
      const back = await killAndReturn(fleet);
      returns.push(back);
      report(
        `grpc-js ${handshakes.at(-1)} ms; kompose: listening after ${back.startMs} ms, all back ${back.backMs} ms later, ${back.succeeded} of ${agents} tasks done; ${megabytes(back.idleKb)} MB before, at most ${megabytes(back.peakKb)} MB`,
      );
    }
    return summary(handshakes, returns);
  },
  inDocs: ({ handshakes, start, back, ratio, peakRatio, returns }) => {
    const spread = ({ medianMs, minMs, maxMs }: Samples): string =>
      `${medianMs.toFixed(0)} (${minMs.toFixed(0)}–${maxMs.toFixed(0)})`;
    const done = returns.reduce((sum, { succeeded }) => sum + succeeded, 0);
    const rows = [
      ['handshakes of grpc-js alone, all at once', `${spread(handshakes)} ms`],
      ['controller: from SIGKILL until it listens again', `${spread(start)} ms`],
      ['from then until the last agent is back', `${spread(back)} ms`],
      ['ratio of that to the handshakes', ratio.toFixed(2)],
      ['tasks under way that were completed', `${done} of ${agents * returns.length}`],
      ['peak memory, of what it had idle before', peakRatio.toFixed(2)],
    ];
    return markdownTable([[`${returns.length} kills`, 'median (least to most)'], ...rows]);
  },
  targets: ({ ratio, peakRatio }) => [
    {
      what: 'reconnect of 1,000 after a kill: time, of the bare handshakes',
      limit: 'at most 1.3',
      measured: ratio.toFixed(2),
      isMet: ratio <= 1.3,
    },
    {
      what: 'reconnect of 1,000 after a kill: peak memory, of the idle memory',
      limit: 'at most 2',
      measured: peakRatio.toFixed(2),
      isMet: peakRatio <= 2,
    },
  ],
};

async function bareHandshakes(fleet: LightFleet): Promise<number> {
  await using bare = await RawFleet.create(fleet);
  return await bare.connect();
}

async function killAndReturn(fleet: LightFleet): Promise<Return> {
  await fleet.askAgents('hold');
  const run = await fleet.user.begin('stop');
  await delay(restMs);
  const idleKb = await residentKb(fleet.pid);
  const linked = fleet.askAgents('linkedAnew');
  await fleet.stopController('SIGKILL');
  const killedMs = Date.now();
  const listeningMs = await fleet.startController();
  const lastMs = Math.max(...(await linked));
  fleet.user.reconnect();
  const watched = fleet.user.watch(run);
  await fleet.askAgents('letGo');
  const { counts } = await watched;
  const peakKb = await residentKb(fleet.pid, 'VmHWM');
  const times = { startMs: listeningMs - killedMs, backMs: lastMs - listeningMs };
  return { ...times, idleKb, peakKb, succeeded: counts['succeeded'] ?? 0 };
}

function summary(handshakeMs: readonly number[], returns: readonly Return[]): Result {
  const handshakes = summarise('handshakes', handshakeMs);
  const start = summarise(
    'start',
    returns.map(({ startMs }) => startMs),
  );
  const back = summarise(
    'back',
    returns.map(({ backMs }) => backMs),
  );
  const peaks = summarise(
    'peak',
    returns.map(({ peakKb, idleKb }) => peakKb / idleKb),
  );
  return {
    handshakes,
    start,
    back,
    ratio: back.medianMs / handshakes.medianMs,
    peakRatio: peaks.medianMs,
    returns,
  };
}

function megabytes(kilobytes: number): number {
  return Math.round(kilobytes / 1024);
}
