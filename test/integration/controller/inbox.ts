import type { EventEmitter } from 'node:events';
import { type Metadata, status } from '@grpc/grpc-js';

const patienceMs = 6_000;

/** How a stream ended: gRPC's status by name, kompose's own code, and the words. */
export interface StreamEnd {
  readonly status: string;
  readonly code: string | undefined;
  readonly message: string;
}

/** What arrives on a stream, to be waited for; a wait that lasts too long fails and says what it was for. */
export class Inbox<Message> {
  readonly all: Message[] = [];
  readonly #ended = Promise.withResolvers<StreamEnd>();
  #end: StreamEnd | undefined;
  #changed = Promise.withResolvers<void>();
  #seen = 0;

  /** `split` gives what one message holds, where that is several. */
  constructor(stream: EventEmitter, split: (message: Message) => Iterable<Message> = (one) => [one]) {
    stream.on('data', (message: Message) => {
      this.all.push(...split(message));
      this.#wake();
    });
    stream.on('error', (error: unknown) => this.#finish(streamEnd(error)));
    stream.on('end', () => this.#finish({ status: 'OK', code: undefined, message: '' }));
  }

  /** How the stream ended, once it has. */
  get ended(): Promise<StreamEnd> {
    return within(patienceMs, 'the end of the stream', this.#ended.promise);
  }

  /** The next message that `pick` gives something for, of those that no earlier call has looked at. */
  async next<Picked>(what: string, pick: (message: Message) => Picked | undefined): Promise<Picked> {
    const search = async (): Promise<Picked> => {
      for (;;) {
        for (; this.#seen < this.all.length;) {
          const message = this.all[this.#seen++];
          const picked = message === undefined ? undefined : pick(message);
          if (picked !== undefined) return picked;
        }
        if (this.#end !== undefined) throw new Error(`ended without ${what}: ${JSON.stringify(this.#end)}`);
        await this.#changed.promise;
      }
    };
    return within(patienceMs, what, search());
  }

  #finish(end: StreamEnd): void {
    // The status of a stream follows its last message, and its `end` may follow its error.
    this.#end ??= end;
    this.#ended.resolve(this.#end);
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** What a failed call or stream came to. */
export function streamEnd(error: unknown): StreamEnd {
  const { code, details, metadata } = error as { code: number; details: string; metadata?: Metadata };
  const komposeCode = metadata?.get('kompose-code')[0]?.toString();
  return { status: status[code] ?? String(code), code: komposeCode, message: details };
}

/** A promise's result; rejects with what was waited for when it takes too long. */
export async function within<Result>(ms: number, what: string, promise: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`waited in vain for ${what}`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
