import { readFile } from 'node:fs/promises';
import { capture } from '../process/capture.ts';
import { terminateMarked } from '../process/marked-processes.ts';
import { dockerProblem, type ContainerPlace, type ContainerWork } from './container-work.ts';

/** How long docker may take for an answer, or for a script beside the script's own waiting. */
const dockerMs = 10_000;

/**
 * Signals the processes of a container whose environment bears a mark, as terminateMarked does it on the host. Fails
 * with 1 if some are left. `sh`, `grep` and `sleep` are all it needs.
 */
const endScript = `mark=$1 grace=$2
marked() { grep -ls "$mark" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do echo "$pid"; done; }
signal() { pids=$(marked); [ -n "$pids" ] || exit 0; kill -"$1" $pids 2>/dev/null; }
grep -qs . /proc/self/stat || exit 127
signal TERM
while [ "$grace" -gt 0 ]; do [ -n "$(marked)" ] || exit 0; sleep 1; grace=$((grace - 1)); done
signal KILL
sleep 1
[ -z "$(marked)" ]`;

/** In the environment of what `exec` of a task starts. */
export function execMark(task: string): string {
  return `KOMPOSE_EXEC_OF=${task}`;
}

interface Container {
  readonly id: string;
  readonly name: string;
  /** Of its first process, as the engine's host counts. */
  readonly pid: string;
}

/**
 * What `compose exec` starts, known by a variable in its environment. On the engine's own machine its processes are
 * among the host's; where they cannot be seen there, by a script inside the containers of the project.
 */
export class ExecWork implements ContainerWork {
  readonly #mark: string;
  readonly #place: ContainerPlace;

  constructor(place: ContainerPlace) {
    this.#place = place;
    this.#mark = execMark(place.task);
  }

  get options(): readonly string[] {
    return ['--env', this.#mark];
  }

  async end(graceMs: number): Promise<string | undefined> {
    const [left, inside] = await Promise.all([
      terminateMarked(this.#mark, graceMs),
      this.#endInside(graceMs),
    ]);
    if (left.length === 0) return inside;
    return `process ${left.join(', ')} in its container could not be ended`;
  }

  async #endInside(graceMs: number): Promise<string | undefined> {
    const found = await this.#containers();
    if (typeof found === 'string') return `what it started may still run in its container: ${found}`;
    const problems = await Promise.all(found.map((container) => this.#endIn(container, graceMs)));
    return problems.find((problem) => problem !== undefined);
  }

  async #endIn({ id, name }: Container, graceMs: number): Promise<string | undefined> {
    const words = [endScript, 'sh', this.#mark, String(Math.ceil(graceMs / 1000))];
    const ended = await this.#docker(['exec', '--user', '0', id, 'sh', '-c', ...words], graceMs);
    if (ended.exitCode === 0 || /is not running|No such container/i.test(ended.stderr)) return undefined;
    const isSeen = ended.exitCode === 1 && ended.stderr === '';
    const why = isSeen ? 'it outlived SIGKILL' : dockerProblem(ended);
    return `what it started in container ${name} may still run: ${why}`;
  }

  /** Those of the project in which somebody executes something and which this host does not see into; or why not. */
  async #containers(): Promise<Container[] | string> {
    const project = this.#place.env['COMPOSE_PROJECT_NAME'] ?? '';
    const filter = `label=com.docker.compose.project=${project}`;
    const listed = await this.#docker(['ps', '--quiet', '--no-trunc', '--filter', filter]);
    if (listed.exitCode !== 0) return dockerProblem(listed);
    const ids = listed.stdout.split('\n').filter((id) => id !== '');
    if (ids.length === 0) return [];
    const format = '{{.Id}} {{.State.Pid}} {{len .ExecIDs}} {{.Name}}';
    const { stdout } = await this.#docker(['inspect', '--type', 'container', '--format', format, ...ids]);
    const containers = stdout.split('\n').flatMap((line) => {
      const [id = '', pid = '', executing = '0', name = ''] = line.split(' ');
      return Number(executing) > 0 ? [{ id, pid, name: name.replace(/^\//, '') }] : [];
    });
    const seen = await Promise.all(containers.map(isSeenFromHere));
    return containers.filter((_, at) => !seen[at]);
  }

  #docker(args: readonly string[], graceMs = 0) {
    const { env, cwd } = this.#place;
    return capture(['docker', ...args], { env, cwd, timeoutMs: dockerMs + graceMs });
  }
}

/** Whether its first process is the one of that number here, and may be looked into. */
async function isSeenFromHere({ id, pid }: Container): Promise<boolean> {
  try {
    await readFile(`/proc/${pid}/environ`);
    return (await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(id);
  } catch {
    return false;
  }
}
