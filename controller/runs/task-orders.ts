import type { ClientTerminal } from '../../common/client-terminal.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { HostSession, OutputPolicy } from '../fleet/host-session.ts';
import type { RunFacts, TaskFacts } from './run-records.ts';
import type { RunRequest } from './run-request.ts';

/** What all tasks of a run are asked for. */
interface CommonOrder {
  readonly facts: RunFacts;
  /** Absent where an earlier process of the controller had it: nothing can be sent then. */
  readonly request: RunRequest | undefined;
  readonly output: OutputPolicy;
  /** Where the client's stdin goes to the action, and with it a terminal. */
  readonly stdin: { readonly terminal: ClientTerminal | undefined } | undefined;
}

/** What a run says to the hosts of its tasks. */
export class TaskOrders {
  readonly #fleet: Fleet;
  readonly #common: CommonOrder;

  constructor(fleet: Fleet, common: CommonOrder) {
    this.#fleet = fleet;
    this.#common = common;
  }

  isOnline(host: string): boolean {
    return this.#session(host) !== undefined;
  }

  /** Asks for a task; returns whether its host is there to hear it. */
  send({ id: task, host, stack }: TaskFacts): boolean {
    const session = this.#session(host);
    const { facts, request, output, stdin } = this.#common;
    if (session === undefined || request === undefined) return false;
    const { args, env, network, timeoutMs } = request;
    const { id: run, command, dryRun, actor, raw = false } = facts;
    const what = { task, run, stack, command, args, env, network, timeoutMs, dryRun, raw, output };
    session.startTask({
      ...what,
      user: actor.name,
      hasStdin: stdin !== undefined,
      terminal: stdin?.terminal,
    });
    return true;
  }

  cancel({ id, host }: TaskFacts, reason: string): void {
    this.#session(host)?.cancelTask(id, reason);
  }

  agentVersion(host: string): string {
    return this.#fleet.get(host)?.agentVersion ?? '';
  }

  whyOffline(host: string): string {
    const lastSeenMs = this.#fleet.get(host)?.lastSeenMs;
    const seen = lastSeenMs === undefined ? 'never seen' : `last seen ${new Date(lastSeenMs).toISOString()}`;
    return `host ${host} is offline (${seen}); its task was not started`;
  }

  #session(host: string): HostSession | undefined {
    return this.#fleet.get(host)?.session;
  }
}
