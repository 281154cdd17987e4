import type { Readable } from 'node:stream';
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { toStatus } from '../../proto/status.ts';
import type { HeldBytes } from './held-bytes.ts';
import { PacedWriter } from './paced-writer.ts';
import { streamHeader } from './peer.ts';

/** What an item of a listing takes at most, where nothing in it is long. */
const someItem = 4_096;

/**
 * Turns plain async functions into gRPC handlers. The one place where an error becomes a status: expected ones as
 * they are, of bugs the peer hears only that there was one and the log gets the stack.
 */
export class Handlers {
  readonly #log: Logger;
  readonly #held: HeldBytes;
  readonly #trailer: () => Metadata | undefined;

  /** `trailer` gives what every answered call ends with. */
  constructor(log: Logger, held: HeldBytes, trailer: () => Metadata | undefined = () => undefined) {
    this.#log = log;
    this.#held = held;
    this.#trailer = trailer;
  }

  unary<Request, Response>(
    answer: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      answer(call).then(
        (response) => callback(null, response, this.#trailer()),
        (error: unknown) => callback(this.status(error)),
      );
    };
  }

  /** The answer's items, at the pace of the one who reads them; `sizeOf` gives about how many bytes one has. */
  stream<Request, Response>(
    answer: (call: ServerWritableStream<Request, Response>, signal: AbortSignal) => AsyncIterable<Response>,
    sizeOf: (item: Response) => number = () => someItem,
  ): handleServerStreamingCall<Request, Response> {
    return (call) => {
      const signal = cancelSignal(call);
      const writer = new PacedWriter(call, sizeOf, signal);
      const pass = async (): Promise<void> => {
        for await (const item of answer(call, signal)) await writer.write(item);
      };
      this.finish(call, signal, pass());
    };
  }

  /**
   * The client's messages in order, until it has no more or the call is over; the next is asked for once one is dealt
   * with. Leaving the loop, also by a throw, leaves the call open, so that its status can still be sent.
   */
  async *incoming<Message>(
    call: Pick<Readable, 'iterator'> & { readonly metadata: Metadata },
  ): AsyncGenerator<Message> {
    try {
      for await (const message of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Message>) {
        yield message;
        this.taken(call);
      }
    } catch (error) {
      if (!isSystemError(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error;
    }
  }

  /** The oldest message of a call has been dealt with. */
  taken({ metadata }: { readonly metadata: Metadata }): void {
    this.#held.taken(metadata.get(streamHeader)[0]?.toString());
  }

  /** Ends a streaming call with what `work` comes to. */
  finish(call: EndableCall, signal: AbortSignal, work: Promise<void>): void {
    work.then(
      () => call.end(this.#trailer()),
      (error: unknown) => {
        if (!signal.aborted) call.emit('error', this.status(error));
      },
    );
  }

  status(error: unknown): ReturnType<typeof toStatus> {
    if (KomposeError.from(error).code === 'internal') this.#log.error({ err: error }, 'a call met a bug');
    return toStatus(error);
  }
}

interface EndableCall {
  end(trailer?: Metadata): unknown;
  emit(event: 'error', error: unknown): boolean;
}

/** Made once: gRPC says of every call that has ended that it is cancelled, and a stack would say nothing. */
const gone = new KomposeError('controller-unreachable', 'the client is gone');

/** Fires when the client is gone or has cancelled. */
export function cancelSignal(call: { on(event: 'cancelled', listener: () => void): unknown }): AbortSignal {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort(gone));
  return controller.signal;
}
