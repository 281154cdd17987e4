import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { kompose } from '../fleet/release.ts';
import type { Random } from '../shuffle/random.ts';
import type { SoakFleet } from './soak-fleet.ts';

/** How a client is to be treated. */
interface Treatment {
  /** It is killed after so long. */
  readonly killAfterMs?: number;
  /** So many bytes of its output are read, twenty times a second. */
  readonly bytesATurn?: number;
}

export interface Counts {
  readonly ended: number;
  readonly killed: number;
  readonly vanished: number;
}

/** Between one and the next of a kind. */
const pausesMs = {
  'runs-on-all': 20_000,
  'runs-on-ten': 2_000,
  changes: 3_000,
  slow: 5_000,
  'killed-on-all': 20_000,
  'killed-in-output': 5_000,
  'killed-followers': 1_000,
  'killed-in-changes': 2_000,
  'agent-vanishes': 40_000,
  'light-agents-vanish': 25_000,
};
type Repeated = keyof typeof pausesMs;

/** What load there is: `following` is one client that stays. */
export type Kind = Repeated | 'following';
export const allKinds = [...Object.keys(pausesMs), 'following'] as Kind[];

interface LoadOptions {
  readonly kinds: readonly Kind[];
  /** The pauses are divided by it. */
  readonly pace: number;
  readonly random: Random;
}

/** No client takes so long, on a busy machine either: one that hangs is a fault, and does not hold up the end. */
const longestMs = 120_000;

/** Succeeded, or a host was away: agents vanish. */
const expected = new Set<number | null>([0, 4]);

/**
 * Clients of all kinds, each kind one after the other: runs on the whole fleet and on a few hosts, commands with hooks,
 * slow readers, clients that are killed, one that follows all the time; and agents that vanish and return. Goes on until
 * the signal fires.
 */
export class Load {
  readonly faults: string[] = [];
  readonly #fleet: SoakFleet;
  readonly #options: LoadOptions;
  #ended = 0;
  #killed = 0;
  #vanished = 0;
  #followerPid = 0;

  constructor(fleet: SoakFleet, options: LoadOptions) {
    this.#fleet = fleet;
    this.#options = options;
  }

  get counts(): Counts {
    return { ended: this.#ended, killed: this.#killed, vanished: this.#vanished };
  }

  /** The client that follows all the time. */
  get followerPid(): number {
    return this.#followerPid;
  }

  /** Resolves when every client has ended and every agent is back. */
  async run(signal: AbortSignal): Promise<void> {
    const { kinds, pace } = this.#options;
    await Promise.all(
      kinds.map((kind) =>
        kind === 'following' ? this.#follow(signal) : this.#repeat(signal, pausesMs[kind] / pace, kind),
      ),
    );
  }

  async #repeat(signal: AbortSignal, pauseMs: number, kind: Repeated): Promise<void> {
    while (!signal.aborted) {
      await this.#act(kind).catch((error: unknown) => this.faults.push(String(error)));
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #act(kind: Repeated): Promise<void> {
    const between = (low: number, high: number): number => this.#options.random.between(low, high);
    switch (kind) {
      case 'runs-on-all':
        return this.#client(['*', 'ps']);
      case 'runs-on-ten':
        return this.#client([`light-${String(between(0, 49)).padStart(2, '0')}*:*`, 'ps']);
      case 'changes':
        return this.#client(['prod-*:*', 'up', '-d']);
      case 'slow':
        return this.#client(['prod-1:sexy', 'logs'], { bytesATurn: 65_536 });
      case 'killed-on-all':
        return this.#client(['*', 'ps'], { killAfterMs: between(200, 3_000) });
      case 'killed-in-output':
        return this.#client(['prod-1:*', 'logs'], { killAfterMs: between(200, 800) });
      case 'killed-followers':
        return this.#client(['prod-1:news', 'logs', '-f'], { killAfterMs: 6_000 });
      case 'killed-in-changes':
        return this.#client(['prod-1:news', 'up', '-d'], { killAfterMs: 300 });
      case 'agent-vanishes':
        return this.#agentVanishes();
      case 'light-agents-vanish':
        return this.#lightAgentsVanish();
    }
  }

  async #client(args: readonly string[], treatment: Treatment = {}): Promise<void> {
    const client = this.#spawn(args);
    const { killAfterMs, bytesATurn } = treatment;
    const timer = setTimeout(() => client.kill('SIGKILL'), killAfterMs ?? longestMs);
    let said = '';
    client.stderr.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-500)));
    const closed = once(client, 'close') as Promise<[code: number | null, signal: string | null]>;
    if (bytesATurn === undefined) client.stdout.resume();
    else await readSlowly(client.stdout, bytesATurn);
    const [code, killed] = await closed;
    clearTimeout(timer);
    if (killed !== null && killAfterMs !== undefined) this.#killed++;
    else if (expected.has(code)) this.#ended++;
    else this.faults.push(`kompose ${args.join(' ')} ended with ${String(code ?? killed)}: ${said}`);
  }

  /** From the first moment to the last; ended by SIGINT, as by Ctrl-C. */
  async #follow(signal: AbortSignal): Promise<void> {
    const client = this.#spawn(['prod-1:sexy', 'logs', '-f']);
    this.#followerPid = client.pid ?? 0;
    const closed = once(client, 'close') as Promise<[code: number | null]>;
    client.stdout.resume();
    client.stderr.resume();
    let timer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      client.kill('SIGINT');
      timer = setTimeout(() => client.kill('SIGKILL'), longestMs);
    };
    signal.addEventListener('abort', stop, { once: true });
    const [code] = await closed;
    clearTimeout(timer);
    if (signal.aborted && code === 130) this.#ended++;
    else this.faults.push(`the client that follows ended with ${String(code)}`);
  }

  #spawn(args: readonly string[]) {
    const env = { PATH: process.env['PATH'], KOMPOSE_HOME: this.#fleet.stubs.home('admin') };
    return spawn(process.execPath, [kompose, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async #agentVanishes(): Promise<void> {
    await this.#fleet.stubs.stopAgent('prod-2', 'SIGKILL');
    await this.#fleet.stubs.startAgent('prod-2');
    this.#vanished++;
  }

  async #lightAgentsVanish(): Promise<void> {
    await this.#fleet.lightVanish();
    await this.#fleet.lightReturn();
    this.#vanished += 50;
  }
}

async function readSlowly(stream: NodeJS.ReadableStream, bytes: number): Promise<void> {
  let read = 0;
  for await (const chunk of stream) {
    read += chunk.length;
    if (read < bytes) continue;
    read = 0;
    await delay(50);
  }
}
