import { once } from 'node:events';
import type { EventEmitter } from 'node:events';

interface MessageSink<Message> extends EventEmitter {
  write(message: Message): boolean;
  readonly writable?: boolean;
  readonly destroyed?: boolean;
}

/**
 * Writes one message and waits while the stream's buffer is full: HTTP/2's flow control reaches the caller.
 * Rejects with the signal's reason when that fires first, which it must when the stream ends.
 */
export async function send<Message>(
  stream: MessageSink<Message>,
  message: Message,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (!stream.write(message)) await once(stream, 'drain', { signal });
}
