import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { HostSession, OutputPolicy } from '../fleet/host-session.ts';
import type { TaskFacts } from './run-facts.ts';
import type { RunTerms } from './run-terms.ts';

/** What all tasks of a run are asked for. */
interface CommonOrder {
  /** Absent of a run that began on a host: nothing is to be sent then. */
  readonly signedPart: RunTerms['signedPart'] | undefined;
  readonly output: OutputPolicy;
  /** Where the client's stdin goes to the action, and with it a terminal. */
  readonly stdin: { readonly terminal: ClientTerminal | undefined } | undefined;
}

function sizeOf(terminal: ClientTerminal | undefined): TerminalSize | undefined {
  return terminal === undefined ? undefined : { rows: terminal.rows, columns: terminal.columns };
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
    const { signedPart, output, stdin } = this.#common;
    const signed = signedPart?.(task);
    if (session === undefined || signed === undefined) return false;
    session.startTask({ task, stack, signed, terminalSize: sizeOf(stdin?.terminal), output });
    return true;
  }

  /** Whether there is such a host in the fleet. */
  isKnown(host: string): boolean {
    return this.#fleet.get(host) !== undefined;
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
