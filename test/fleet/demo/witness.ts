import type { KomposeFleet } from '../kompose-fleet.ts';
import type { Ground } from './ground.ts';
import { Surprise } from './surprise.ts';

/** Names of containers, sorted, by host. */
export type Containers = Readonly<Record<string, readonly string[]>>;

/** A hook as the audit tells of it. */
interface HookRecord {
  readonly type: string;
  readonly host: string;
  readonly stack: string;
  readonly hook: { readonly name: string; readonly exitCode: number };
}

/** Looks at the engines themselves, and at the audit: kompose's own word is not enough. */
export class Witness {
  readonly #ground: Ground;
  readonly #fleet: KomposeFleet;

  constructor(ground: Ground, fleet: KomposeFleet) {
    this.#ground = ground;
    this.#fleet = fleet;
  }

  /** What the engines run of the stacks. */
  async running(): Promise<Containers> {
    const entries = this.#ground.rig.hosts.map(async ({ name }) => {
      const names = (await this.#containers(name)).map((container) => this.#plain(name, container));
      return [name, names.toSorted()] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  /** Whether a container was started after `time`. */
  async startedSince(time: Date, host: string, container: string): Promise<boolean> {
    const name = (await this.#containers(host)).find((each) => this.#plain(host, each) === container);
    if (name === undefined) throw new Surprise(`${container} does not run on ${host}`);
    const started = await this.#ground.rig.docker(host, [
      'inspect',
      '--format',
      '{{.State.StartedAt}}',
      name,
    ]);
    return new Date(started) >= time;
  }

  /** `staging-1:shop hook_pre_up 1` for each hook that ran, sorted. */
  async hooks(): Promise<string[]> {
    const { stdout } = await this.#fleet.kompose(['audit', 'ls', '-o', 'json']);
    const records = stdout.split('\n').filter((line) => line !== '');
    return records
      .map((line): HookRecord => JSON.parse(line))
      .filter(({ type }) => type === 'hook.finished')
      .map(({ host, stack, hook }) => `${host}:${stack} ${hook.name} ${hook.exitCode}`)
      .toSorted();
  }

  async #containers(host: string): Promise<string[]> {
    const suffix = this.#ground.projectSuffix(host);
    const names = (await this.#ground.rig.docker(host, ['ps', '--format', '{{.Names}}'])).split('\n');
    return names.filter((name) => name !== '' && name.includes(`${suffix}_`));
  }

  /** Its name where it has an engine for itself. */
  #plain(host: string, container: string): string {
    return container.replace(`${this.#ground.projectSuffix(host)}_`, '_');
  }
}
