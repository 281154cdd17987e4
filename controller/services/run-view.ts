import { KomposeError } from '../../common/errors.ts';
import type { RuleTarget } from '../../common/rules/rule.ts';
import type { RunEvent } from '../../proto/gen/kompose/v1/event.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { ruleTarget } from '../fleet/rule-target.ts';
import type { Roles } from '../identity/roles.ts';
import { findRun, tasksOfRun } from '../runs/run-queries.ts';
import type { RunsTable, TasksTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

interface Viewer {
  readonly name: string;
  readonly role: string;
}

/** What of runs whom is shown: of one's own all, of others' the tasks on targets that one's role sees. */
export class RunViews {
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #roles: Roles;

  constructor({ store, fleet, roles }: { store: Store; fleet: Fleet; roles: Roles }) {
    this.#store = store;
    this.#fleet = fleet;
    this.#roles = roles;
  }

  /** Throws `not-found` for a run of which nothing is shown. */
  async open(viewer: Viewer, id: string): Promise<RunView> {
    const [run, tasks] = await Promise.all([findRun(this.#store, id), tasksOfRun(this.#store, id)]);
    const shown = run === undefined ? [] : this.#shownTasks(viewer, run, tasks);
    if (run === undefined || (shown.length === 0 && tasks.length > 0)) {
      throw new KomposeError('not-found', `there is no run ${id}: kompose runs ls`);
    }
    const isOfRole = (role: string, { host, stack }: TasksTable): boolean =>
      this.#roles.mayWatch(role, run.command, this.#target(host, stack));
    const watchable = shown.filter((task) => isOfRole(viewer.role, task));
    return new RunView(tasks, shown, (role) => watchable.every((task) => isOfRole(role, task)));
  }

  /** Whether anything of a run is shown. */
  async shows(viewer: Viewer, run: RunsTable): Promise<boolean> {
    if (run.user === viewer.name || this.#roles.seesAll(viewer.role)) return true;
    return this.#shownTasks(viewer, run, await tasksOfRun(this.#store, run.id)).length > 0;
  }

  #shownTasks({ name, role }: Viewer, run: RunsTable, tasks: readonly TasksTable[]): readonly TasksTable[] {
    if (run.user === name) return tasks;
    return tasks.filter(({ host, stack }) =>
      this.#roles.mayWatch(role, run.command, this.#target(host, stack)),
    );
  }

  #target(host: string, stack: string): RuleTarget {
    return ruleTarget(this.#fleet, host, stack);
  }
}

/** One run as one user is shown it. */
export class RunView {
  readonly tasks: readonly TasksTable[];
  /** Whether all that was shown at first is still for somebody of this role. */
  readonly isAllowed: (role: string) => boolean;
  /** The number that a task has in this view, by its number in the run; absent where nothing is hidden. */
  readonly #places: ReadonlyMap<number, number> | undefined;

  constructor(
    all: readonly TasksTable[],
    shown: readonly TasksTable[],
    isAllowed: (role: string) => boolean,
  ) {
    this.tasks = shown;
    this.isAllowed = isAllowed;
    if (shown.length < all.length) this.#places = new Map(shown.map(({ place }, at) => [place, at + 1]));
  }

  /** The event as it is shown; undefined for one of a hidden task. Pure. */
  show(event: RunEvent): RunEvent | undefined {
    const places = this.#places;
    if (places === undefined) return event;
    const { kind } = event;
    if (kind?.$case === 'started') {
      const targets = kind.value.targets.filter((_, at) => places.has(at + 1));
      return { ...event, kind: { ...kind, value: { ...kind.value, targets } } };
    }
    if (event.task === 0) return event;
    const task = places.get(event.task);
    return task === undefined ? undefined : { ...event, task };
  }
}
