import { connect } from '@nats-io/transport-node';
import { answerParent } from '../fleet/answering.ts';
import type { NatsPeer } from './broker.ts';

/** What may be asked of it. */
export interface ResponderQuestions {
  /** Answers once whoever sends a request has it answered with what it says. */
  serve: { ask: NatsPeer; answer: undefined };
}

answerParent<ResponderQuestions>({
  serve: async ({ servers, tls, subject }) => {
    const connection = await connect({ servers, tls });
    connection.subscribe(subject, { callback: (_, message) => void message.respond(message.data) });
    await connection.flush();
    return undefined;
  },
});
