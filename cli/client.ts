import { X509Certificate } from 'node:crypto';
import {
  connectivityState,
  InterceptingCall,
  Metadata,
  type ClientReadableStream,
  type ClientDuplexStream,
  type Interceptor,
} from '@grpc/grpc-js';
import { KomposeError } from '../common/errors.ts';
import { addHead, headOf } from '../proto/audit-head-metadata.ts';
import { channelOptionsFor } from '../proto/channel-options.ts';
import { identityCredentials, splitAddress, unary } from '../proto/enrol.ts';
import type { FleetClient } from '../proto/gen/kompose/v1/fleet.ts';
import { PassingFleetClient } from '../proto/passing-fleet.ts';
import { protocolMetadataKey, protocolVersion } from '../proto/protocol-version.ts';
import { fromStatus } from '../proto/status.ts';
import { addTrust, trustIn, trustOf } from '../proto/trust.ts';
import type { AuditWitness } from './audit-witness.ts';
import type { Context } from './contexts.ts';
import type { LoginRoster } from './login-roster.ts';

/** For all addresses together. */
const connectTimeoutMs = 9000;
/** Of a call with one answer. Streams have no deadline: keep-alives find out whether the peer still lives. */
const unaryTimeoutMs = 30_000;

/** What a login knows beside who it is. */
export interface LoginMemory {
  readonly auditWitness: AuditWitness;
  readonly roster: LoginRoster;
}

/** A link to the controller. Dispose of it to let the process end. */
export class Fleet implements Disposable {
  readonly address: string;
  readonly client: FleetClient;
  /** What this login knows of the controller's audit; heads that come with answers go there. */
  readonly auditWitness: AuditWitness;
  /** What this login signs with. */
  readonly roster: LoginRoster;
  readonly #certificate: string;
  #isTrustStale = false;

  private constructor(address: string, context: Context, { auditWitness, roster }: LoginMemory) {
    const trusts = trustOf(context.caCertificate);
    const onTold = (told: readonly string[]): void => {
      this.#isTrustStale ||= told.join() !== trusts.join();
    };
    const interceptors = [intercept(auditWitness, trusts, onTold)];
    const options = { ...channelOptionsFor(context.caCertificate), interceptors };
    this.address = address;
    this.client = new PassingFleetClient(address, identityCredentials(context), options);
    this.auditWitness = auditWitness;
    this.roster = roster;
    this.#certificate = context.certificate;
  }

  /**
   * Dials the addresses in order until one answers. Errors: `controller-unreachable` within ten seconds,
   * `unauthenticated` where the certificate has expired, `usage` for a bad address.
   */
  static async connect(addresses: readonly string[], context: Context, memory: LoginMemory): Promise<Fleet> {
    for (const address of addresses) splitAddress(address);
    const end = Date.now() + connectTimeoutMs;
    let failure: unknown = new KomposeError('controller-unreachable', 'no address of a controller is known');
    for (const [index, address] of addresses.entries()) {
      const fleet = new Fleet(address, context, memory);
      const share = (end - Date.now()) / (addresses.length - index);
      const outcome = await handshake(fleet.client, Date.now() + share);
      if (outcome === 'ready') return fleet;
      failure = outcome === 'silent' ? silent(address) : await fleet.#whyNot();
      fleet[Symbol.dispose]();
    }
    throw failure;
  }

  /** The controller has said that others are to be trusted than this login does: it is to be renewed. */
  get isTrustStale(): boolean {
    return this.#isTrustStale;
  }

  /** A call with one answer: `fleet.ask((answer) => fleet.client.whoAmI({}, answer))`. */
  async ask<Answer>(
    call: (callback: (error: Error | null, answer: Answer) => void) => unknown,
  ): Promise<Answer> {
    try {
      return await unary(this.address, call);
    } catch (error) {
      throw this.explained(error);
    }
  }

  /** The messages of a stream, at the reader's pace. A reader that stops early ends the call, if this process goes on. */
  async *read<Message>(
    call: ClientReadableStream<Message> | ClientDuplexStream<never, Message>,
  ): AsyncGenerator<Message, void, undefined> {
    call.on('error', () => {});
    try {
      yield* call as AsyncIterable<Message>;
    } catch (error) {
      throw this.explained(error);
    } finally {
      ifNotAtTheEnd(() => call.cancel());
    }
  }

  /** What a failed call means to the user. */
  explained(thrown: unknown): KomposeError {
    const error = fromStatus(thrown, this.address);
    const isRefusal = error.code === 'unauthenticated' || error.code === 'controller-unreachable';
    if (!isRefusal) return error;
    const end = new X509Certificate(this.#certificate).validToDate;
    if (end.getTime() > Date.now()) return error;
    const message = `your certificate expired at ${end.toISOString()}: log in with a new token (kompose login TOKEN)`;
    return new KomposeError('unauthenticated', message, { cause: error });
  }

  [Symbol.dispose](): void {
    ifNotAtTheEnd(() => this.client.close());
  }

  /** A channel only knows that it failed; a call is told why. */
  async #whyNot(): Promise<KomposeError> {
    const options = { deadline: Date.now() + 500 };
    try {
      await unary(this.address, (callback) => this.client.whoAmI({}, new Metadata(), options, callback));
      return new KomposeError(
        'controller-unreachable',
        `the controller at ${this.address} answers too slowly`,
      );
    } catch (error) {
      return this.explained(error);
    }
  }
}

/** Most links end with their process, whose exit then waits for no farewell: what comes of it is the same. */
function ifNotAtTheEnd(act: () => void): void {
  setImmediate(act);
}

/** How the handshake goes until `deadline` (ms since 1970): a silent peer would keep it open for ever. */
function handshake(client: FleetClient, deadline: number): Promise<'ready' | 'failed' | 'silent'> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const look = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return resolve('ready');
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) {
        return resolve('failed');
      }
      channel.watchConnectivityState(state, deadline, (error) =>
        error === undefined ? look() : resolve('silent'),
      );
    };
    look();
  });
}

function silent(address: string): KomposeError {
  const message = `cannot reach the controller at ${address}: no answer. Is it running, and the address right?`;
  return new KomposeError('controller-unreachable', message);
}

/**
 * States the protocol version and whom we trust with each call, bounds those with one answer, and passes the audit's
 * heads on: the newest that was seen goes with the first call, what calls end with is taken. `onTold` hears whom the
 * controller says is to be trusted.
 */
function intercept(
  auditWitness: AuditWitness,
  trusts: readonly string[],
  onTold: (trusts: readonly string[]) => void,
): Interceptor {
  let hasPresented = false;
  return (options, nextCall) => {
    const { responseStream } = options.method_definition;
    const deadline = options.deadline ?? (responseStream ? Infinity : Date.now() + unaryTimeoutMs);
    return new InterceptingCall(nextCall({ ...options, deadline }), {
      start(metadata, _, next) {
        metadata.set(protocolMetadataKey, String(protocolVersion));
        addTrust(metadata, trusts);
        if (!hasPresented) addHead(metadata, auditWitness.seen);
        hasPresented = true;
        next(metadata, {
          onReceiveStatus(status, pass) {
            const head = headOf(status.metadata);
            if (head !== undefined) auditWitness.saw(head);
            const told = trustIn(status.metadata);
            if (told !== undefined) onTold(told);
            pass(status);
          },
        });
      },
    });
  };
}
