import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type SecureClientSessionOptions,
} from 'node:http2';
import type { TestContext } from 'node:test';
import { controllerTlsName } from '../../proto/channel-options.ts';
import type { Identity } from '../../proto/enrol.ts';
import { protocolMetadataKey, protocolVersion } from '../../proto/protocol-version.ts';
import type { TestController } from '../integration/controller/test-controller.ts';

/** HTTP/2 to the controller, below gRPC: with a certificate or without. */
export function http2To(
  t: TestContext,
  { port }: TestController,
  identity?: Identity,
  options: SecureClientSessionOptions & { localAddress?: string } = {},
): ClientHttp2Session {
  const key = identity === undefined ? {} : { key: identity.privateKey, cert: identity.certificate };
  const where = {
    ...key,
    localAddress: '127.0.0.1',
    rejectUnauthorized: false,
    servername: controllerTlsName,
  };
  const session = connect(`https://127.0.0.1:${port}`, { ...where, ...options });
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  return session;
}

export function grpcHeaders(
  path: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const usual = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  return { ...usual, [protocolMetadataKey]: String(protocolVersion), ...more };
}

/** A message as gRPC frames it. */
export function framed(message: Uint8Array): Buffer {
  return Buffer.concat([framing(message.length), message]);
}

/** What stands before a message of so many bytes. */
export function framing(bytes: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes, 1);
  return head;
}

/** How a stream was reset, as HTTP/2 numbers it; 0 if it ended well. */
export function resetCode(stream: ClientHttp2Stream): Promise<number> {
  stream.on('error', () => undefined);
  return new Promise((resolve) => void stream.once('close', () => resolve(stream.rstCode)));
}

/** RFC 9113, section 7. */
export const enhanceYourCalm = 11;
