import { KomposeError } from '../../common/errors.ts';
import type { RunEvent } from '../../proto/gen/kompose/v1/event.ts';
import type { RunSignature as WireRunSignature } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Proposal, RunSignature } from '../runs/signed-run.ts';

/** A client signs at once, without asking anybody. */
const patienceMs = 30_000;

/** The client's signature under the run that it asked for, over the stream of its StartRun. */
export class AwaitedSignature {
  readonly #send: (proposal: RunEvent) => void;
  readonly #answer = Promise.withResolvers<RunSignature>();

  constructor(send: (proposal: RunEvent) => void) {
    this.#send = send;
    this.#answer.promise.catch(() => undefined);
  }

  /** Proposes; resolves with the client's answer. Rejects with `protocol` if that does not come. */
  readonly ask = async ({ run, targets }: Proposal): Promise<RunSignature> => {
    const named = targets.map(({ task, host, stack }) => ({ taskId: task, host, stack }));
    const kind = { $case: 'proposal', value: { runId: run, targets: named } } as const;
    this.#send({ seq: 0, task: 0, timeUnixMs: 0, kind, auditHead: undefined, more: [] });
    const late = setTimeout(() => this.giveUp('the client did not sign the run in time'), patienceMs);
    try {
      return await this.#answer.promise;
    } finally {
      clearTimeout(late);
    }
  };

  take({ order, env, network, signatures }: WireRunSignature): void {
    this.#answer.resolve({ order, values: { env, network }, signatures });
  }

  /** Nothing happens if the answer is there. */
  giveUp(why: string): void {
    this.#answer.reject(new KomposeError('protocol', why));
  }
}
