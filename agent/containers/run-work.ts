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
    const ended = await Promise.all([
      this.#each(
        ['running', 'paused', 'restarting'],
        ['stop', '-t', String(Math.ceil(graceMs / 1000))],
        graceMs,
      ),
      // Of a client that ended before it could start it: nobody will, and --rm takes away only what has run.
      this.#each(['created'], ['rm', '--force'], 0),
    ]);
    return ended.find((problem) => problem !== undefined);
  }

  /** Does something to the containers in one of these states; in words, what could not be done. */
  async #each(
    states: readonly string[],
    command: readonly string[],
    graceMs: number,
  ): Promise<string | undefined> {
    const wanted = [`label=${this.#label}`, ...states.map((state) => `status=${state}`)];
    const filters = wanted.flatMap((filter) => ['--filter', filter]);
    const found = await this.#docker(['ps', '--all', '--quiet', ...filters]);
    if (found.exitCode !== 0) return `its container may still run: ${dockerProblem(found)}`;
    const ids = found.stdout.split('\n').filter((id) => id !== '');
    if (ids.length === 0) return undefined;
    const done = await this.#docker([...command, ...ids], graceMs);
    // One that was removed at its end, by --rm, is no more there to be ended.
    if (done.exitCode === 0 || /No such container/i.test(done.stderr)) return undefined;
    return `its container ${ids.join(', ')} could not be ended: ${dockerProblem(done)}`;
  }

  #docker(args: readonly string[], graceMs = 0) {
    const { env, cwd } = this.#place;
    return capture(['docker', ...args], { env, cwd, timeoutMs: engineMs + graceMs });
  }
}
