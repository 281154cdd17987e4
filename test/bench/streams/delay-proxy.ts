import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { answerParent } from '../fleet/answering.ts';

/** What may be asked of it. */
export interface DelayQuestions {
  /** Takes connections for that address, each chunk of which arrives so much later; gives the address to dial. */
  listen: { ask: { readonly to: string; readonly delayMs: number }; answer: string };
}

/** What is under way in one direction of one connection; more than any window of HTTP/2, so that it is no limit. */
const mostBytes = 64 * 1024 * 1024;

/** Hands on what comes, each chunk after the delay: as a long line, which is no narrower for being long. */
function lengthen(from: Socket, to: Socket, delayMs: number): void {
  let bytes = 0;
  from.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > mostBytes) from.pause();
    setTimeout(() => {
      bytes -= chunk.length;
      if (from.isPaused()) from.resume();
      if (to.writable) to.write(chunk);
    }, delayMs);
  });
  from.on('end', () => setTimeout(() => to.end(), delayMs));
  from.on('error', () => to.destroy());
  from.on('close', () => setTimeout(() => to.destroy(), delayMs));
}

answerParent<DelayQuestions>({
  listen: ({ to, delayMs }) => {
    const port = Number(to.slice(to.lastIndexOf(':') + 1));
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port, host: '127.0.0.1', noDelay: true });
      lengthen(near, far, delayMs);
      lengthen(far, near, delayMs);
    });
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`));
    });
  },
});
