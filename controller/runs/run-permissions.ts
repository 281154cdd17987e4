import type { Actor } from '../audit/audit.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { ruleTarget } from '../fleet/rule-target.ts';
import { findUser } from '../identity/directory.ts';
import type { Roles } from '../identity/roles.ts';
import type { Store } from '../store/store.ts';
import type { Run } from './run.ts';

interface PermissionDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly roles: Roles;
}

/** What those who began the runs under way may do now. */
export class RunPermissions {
  readonly #deps: PermissionDeps;
  /** A run that began on a host has none. */
  readonly #roleOf = new WeakMap<Run, string>();

  constructor(deps: PermissionDeps) {
    this.#deps = deps;
  }

  /** Somebody's role, which may have changed since their call began; an empty one of nobody any more. */
  async roleNow({ name, certificate }: Actor): Promise<string> {
    const peer = { kind: 'user', name, fingerprint: certificate } as const;
    return findUser(this.#deps.store, peer).then(
      ({ role }) => role,
      () => '',
    );
  }

  /**
   * Gives a run the role that it goes by from now on. Returns which of its tasks that have not ended this role does not allow,
   * and why.
   */
  judge(run: Run, role: string): Map<string, string> {
    this.#roleOf.set(run, role);
    const { roles, fleet } = this.#deps;
    const decisions = run.unended.map(({ id, host, stack }) => {
      const target = ruleTarget(fleet, host, stack);
      return { id, ...roles.decide(role, run.asked, target) };
    });
    return new Map(decisions.filter(({ isAllowed }) => !isAllowed).map(({ id, reason }) => [id, reason]));
  }

  /** The same after a user got another role, or roles allow something else; undefined where the run has nothing to do with it. */
  judgeAnew(
    run: Run,
    changed: { readonly user: string; readonly role: string } | undefined,
  ): Map<string, string> | undefined {
    const role = this.#roleOf.get(run);
    if (role === undefined || (changed !== undefined && run.facts.actor.name !== changed.user))
      return undefined;
    return this.judge(run, changed?.role ?? role);
  }
}
