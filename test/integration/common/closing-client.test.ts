import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials } from '../../../proto/enrol.ts';
import { AgentLinkClient } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { createKeys } from '../cli/fake-controller.ts';

/** On a busy machine. */
const longestMs = 20_000;

test('a client that is closed while the controller does not answer leaves no connection behind', async (t) => {
  const { ca, server: own } = await createKeys();
  const identity = { ...own, caCertificate: ca.certificate };
  const silent = createServer().listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const options = channelOptionsFor(ca.certificate);
  const client = new AgentLinkClient(`127.0.0.1:${port}`, identityCredentials(identity), options);
  t.after(() => client.close());
  client.getChannel().getConnectivityState(true);
  const signal = AbortSignal.timeout(longestMs);
  const [socket] = (await once(silent, 'connection', { signal })) as [Socket];
  t.after(() => socket.destroy());
  await once(socket, 'data', { signal });
  client.close();
  await once(socket, 'close', { signal });
  assert.equal(socket.destroyed, true);
});
