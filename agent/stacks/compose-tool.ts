import { capture } from '../process/capture.ts';
import { KomposeError } from '../../common/errors.ts';

/** How compose is called on this host: `docker compose` or, where only that exists, `docker-compose`. */
export interface ComposeTool {
  readonly argv: readonly [string, ...string[]];
  readonly version: string;
}

const candidates = [['docker', 'compose'], ['docker-compose']] as const;

/** Looks once and remembers; looks again as long as there is none. Throws `failed` naming what to install. */
export class ComposeFinder {
  readonly #env: Readonly<Record<string, string>>;
  #found: ComposeTool | undefined;

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  async find(): Promise<ComposeTool> {
    this.#found ??= await this.#look();
    return this.#found;
  }

  async #look(): Promise<ComposeTool> {
    for (const argv of candidates) {
      const { exitCode, stdout } = await capture([...argv, 'version', '--short'], { env: this.#env });
      if (exitCode === 0) return { argv, version: stdout.trim() };
    }
    throw new KomposeError('failed', 'no docker compose on this host: install the compose plugin for docker');
  }
}
