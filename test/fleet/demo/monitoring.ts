import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';

/** The monitoring system that hooks tell of ups and downs. It lives in this process. */
export class Monitoring implements Disposable {
  /** The bodies of the requests, in order of arrival. */
  readonly heard: string[] = [];
  readonly #server: Server;

  /** Listens on a free port of `address`. */
  static async start(address: string): Promise<Monitoring> {
    const monitoring = new Monitoring();
    monitoring.#server.listen(0, address);
    await once(monitoring.#server, 'listening');
    return monitoring;
  }

  private constructor() {
    this.#server = createServer((request, response) => {
      void text(request).then((body) => {
        this.heard.push(body);
        response.end('ok\n');
      });
    });
  }

  get url(): string {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') throw new Error('monitoring does not listen');
    return `http://${bound.address}:${bound.port}/webhook`;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
