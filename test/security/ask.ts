import { Client, credentials, type ChannelCredentials, type Metadata } from '@grpc/grpc-js';
import { clientChannelOptions } from '../../proto/channel-options.ts';
import {
  AgentHello,
  AgentLinkService,
  AgentMessage,
  TaskReport,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import { FleetService, RunRequest, StartRunInput } from '../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../proto/protocol-version.ts';
import { Inbox, streamEnd, within, type StreamEnd } from '../integration/controller/inbox.ts';
import { call, type TestController } from '../integration/controller/test-controller.ts';
import { versionMetadata } from '../integration/controller/version-metadata.ts';
import type { Method } from './methods.ts';

const none = Buffer.alloc(0);

/** What a stream that is let in begins with. */
const firstMessages: Readonly<Record<string, Uint8Array>> = {
  [AgentLinkService.attach.path]: AgentMessage.encode({
    kind: { $case: 'hello', value: { ...AgentHello.decode(none), protocolVersion, instanceId: 'i' } },
  }).finish(),
  [AgentLinkService.report.path]: TaskReport.encode({
    kind: { $case: 'opening', value: { taskId: 'T1' } },
  }).finish(),
  [FleetService.startRun.path]: StartRunInput.encode({
    kind: { $case: 'request', value: { ...RunRequest.decode(none), pattern: '*', command: 'ps' } },
  }).finish(),
};

/** Calls any method, with an empty request or as its stream begins, or with `first`; says how that ended. */
export async function ask(
  client: Client,
  { path, requestStream, responseStream }: Pick<Method, 'path' | 'requestStream' | 'responseStream'>,
  first = firstMessages[path] ?? none,
  metadata: Metadata = versionMetadata(),
): Promise<StreamEnd> {
  const write = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const read = (bytes: Buffer): Buffer => bytes;
  if (!responseStream) {
    const answer = call<unknown>((done) =>
      client.makeUnaryRequest(path, write, read, first, metadata, (error, value) => done(error, value)),
    );
    return answer.then(() => ({ status: 'OK', code: undefined, message: '' }), streamEnd);
  }
  if (!requestStream)
    return new Inbox(client.makeServerStreamRequest(path, write, read, first, metadata)).ended;
  const stream = client.makeBidiStreamRequest(path, write, read, metadata);
  stream.write(first);
  stream.end();
  return new Inbox(stream).ended;
}

export function clientWith(controller: TestController, channel: ChannelCredentials): Client {
  return controller.keep(new Client(controller.address, channel, clientChannelOptions));
}

export function anonymous(controller: TestController): Client {
  return clientWith(controller, credentials.createSsl(Buffer.from(controller.caCertificate)));
}

/** The others are served: the whole way, over a connection of its own. */
export async function serves(controller: TestController): Promise<void> {
  const { identity } = await controller.admin();
  const { client, metadata } = controller.userWith(identity);
  await within(
    3_000,
    'an answer to somebody else',
    call((done) => client.whoAmI({}, metadata, done)),
  );
}
