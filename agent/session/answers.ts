import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import type { MaskWordsRequest } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { WordsToMask } from '../tasks/mask-words.ts';
import type { SendMessage } from './send-message.ts';

/** Who knows what the controller asks for. */
export interface Informant {
  takeInventory(): Promise<StackSummary[]>;
  askStatus(): Promise<StackStatus[]>;
  maskWords(words: WordsToMask): Promise<string[]>;
  /** What this agent takes; `reports` are the streams of this link beside it. */
  readGauges(reports: number): Gauges;
}

/** What the controller asks. */
interface Question {
  /** By this it knows what an answer is to. */
  readonly requestId: string;
}

/** Answers what the controller asks about this host. */
export class Answers {
  readonly #informant: Informant;
  readonly #send: SendMessage;
  readonly #log: Logger;

  constructor(informant: Informant, send: SendMessage, log: Logger) {
    this.#informant = informant;
    this.#send = send;
    this.#log = log;
  }

  async rescan({ requestId }: Question): Promise<void> {
    const stacks = await this.#informant.takeInventory().catch((error: unknown) => {
      this.#log.error({ err: error }, 'the stacks root cannot be read');
      return [];
    });
    this.tellInventory(stacks, requestId);
  }

  /** The controller hears of stacks unasked too: then there is no `requestId`. */
  tellInventory(stacks: readonly StackSummary[], requestId = ''): void {
    const wire = stacks.map((stack) => ({
      ...stack,
      hooks: [...stack.hooks],
      services: [...stack.services],
    }));
    this.#send({ $case: 'inventory', value: { stacks: wire, requestId } });
  }

  async tellStatus({ requestId }: Question): Promise<void> {
    const answer = await this.#informant.askStatus().then(
      (stacks) => ({
        error: '',
        stacks: stacks.map(({ name, servicesUp }) => ({ name, servicesUp: [...servicesUp] })),
      }),
      (error: unknown) => ({ error: KomposeError.from(error).message, stacks: [] }),
    );
    this.#send({ $case: 'stackStatus', value: { requestId, ...answer } });
  }

  async tellMasked({ requestId, ...question }: MaskWordsRequest): Promise<void> {
    const words = await this.#informant.maskWords(question);
    this.#send({ $case: 'maskWords', value: { requestId, words } });
  }

  tellGauges({ requestId }: Question, reports: number): void {
    this.#send({ $case: 'gauges', value: { requestId, gauges: this.#informant.readGauges(reports) } });
  }
}
