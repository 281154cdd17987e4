import { capture } from '../process/capture.ts';
import { dockerProblem, type ContainerPlace, type ContainerWork } from './container-work.ts';

/** How long the engine may take beside the grace. */
const engineMs = 10_000;

/** The container that `compose run` makes, known by a label. Services that it depends on stay up, as at its Ctrl-C. */
export class RunWork implements ContainerWork {
  readonly #label: string;
  readonly #place: ContainerPlace;

  constructor(place: ContainerPlace) {
    this.#place = place;
    this.#label = `kompose.task=${place.task}`;
  }

  get options(): readonly string[] {
    return ['--label', this.#label];
  }

  async end(graceMs: number): Promise<string | undefined> {
    const found = await this.#docker(['ps', '--quiet', '--filter', `label=${this.#label}`]);
    if (found.exitCode !== 0) return `its container may still run: ${dockerProblem(found)}`;
    const ids = found.stdout.split('\n').filter((id) => id !== '');
    if (ids.length === 0) return undefined;
    const stopped = await this.#docker(['stop', '-t', String(Math.ceil(graceMs / 1000)), ...ids], graceMs);
    // One that was removed at its end, by --rm, is no more there to be stopped.
    if (stopped.exitCode === 0 || /No such container/i.test(stopped.stderr)) return undefined;
    return `its container ${ids.join(', ')} could not be stopped: ${dockerProblem(stopped)}`;
  }

  #docker(args: readonly string[], graceMs = 0) {
    const { env, cwd } = this.#place;
    return capture(['docker', ...args], { env, cwd, timeoutMs: engineMs + graceMs });
  }
}
