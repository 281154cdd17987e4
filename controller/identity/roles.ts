import type { Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import { checkRoleName } from '../../common/names.ts';
import { nearest } from '../../common/nearest.ts';
import { quoted } from '../../common/quoted.ts';
import { builtInRoles } from '../../common/rules/built-in-roles.ts';
import { parseRuleSet, type Decision, type Request, type RuleSet } from '../../common/rules/rule-set.ts';
import type { RuleTarget } from '../../common/rules/rule.ts';
import type { RolesTable, Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

export interface RoleEntry {
  readonly name: string;
  readonly rules: RuleSet;
  readonly isBuiltIn: boolean;
}

interface RuleHost {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stacks: readonly { readonly name: string }[] | undefined;
}

/** No stack's name, so that only a rule about all of them matches it. */
const anyStack = '/';

/*
 * What each role may do.
 *
 * INVARIANTS
 * - It holds what the store holds: a change is taken in right after its transaction is durable.
 * - A role that is not there allows nothing.
 */
export class Roles {
  readonly #own: Map<string, RuleSet>;

  constructor(rows: readonly Pick<RolesTable, 'name' | 'rules'>[]) {
    this.#own = new Map(rows.map(({ name, rules }) => [name, parseRuleSet(rules, { of: 'role' })]));
  }

  static async open(store: Store): Promise<Roles> {
    return new Roles(await store.db.selectFrom('roles').selectAll().execute());
  }

  /** The built-in ones, then the others by name. */
  list(): RoleEntry[] {
    const builtIn = Object.entries(builtInRoles).map(([name, rules]) => ({ name, rules, isBuiltIn: true }));
    const own = [...this.#own].map(([name, rules]) => ({ name, rules, isBuiltIn: false }));
    return [...builtIn, ...own.toSorted((a, b) => (a.name < b.name ? -1 : 1))];
  }

  /** A role that the store has now. */
  put(name: string, rules: RuleSet): void {
    this.#own.set(name, rules);
  }

  /** A role that the store has no more. */
  drop(name: string): void {
    this.#own.delete(name);
  }

  /** Throws `not-found`. */
  require(name: string): RuleSet {
    const rules = this.#find(name);
    if (rules === undefined)
      throw unknownRole(
        'not-found',
        name,
        this.list().map((role) => role.name),
      );
    return rules;
  }

  decide(role: string, request: Request, target: RuleTarget): Decision {
    const decision = this.#find(role)?.decide(request, target);
    if (decision === undefined) return { isAllowed: false, rule: '', reason: `there is no role ${role}` };
    if (decision.isAllowed) return decision;
    return { ...decision, reason: refusalText(role, request, decision) };
  }

  /** The built-in roles differ in what they may do, not in what they see. */
  seesAll(role: string): boolean {
    return Object.hasOwn(builtInRoles, role);
  }

  /** Whether anything at all is allowed there: what a role may do nothing with is not shown to it. */
  sees(role: string, target: RuleTarget): boolean {
    if (this.seesAll(role)) return true;
    const rules = (this.#own.get(role)?.rules ?? []).filter(({ matches }) => matches(target));
    const isBarred = rules.some(({ effect, commands }) => effect === 'deny' && commands.isWhole);
    return !isBarred && rules.some(({ effect }) => effect === 'allow');
  }

  /** A host is shown for a stack on it; one without stacks where the role's rules speak of every stack there. */
  seesHost(role: string, host: RuleHost): boolean {
    const stacks = host.stacks?.map(({ name }) => name) ?? [];
    const shown = stacks.length > 0 ? stacks : [anyStack];
    return shown.some((stack) => this.sees(role, { host: host.name, stack, labels: host.labels }));
  }

  /** Whether the output of what others do there is shown: not that of a command which a rule denies by name. */
  mayWatch(role: string, command: string, target: RuleTarget): boolean {
    if (this.seesAll(role)) return true;
    const rules = this.#own.get(role)?.rules ?? [];
    const isDenied = rules.some(
      ({ effect, commands, matches }) => effect === 'deny' && commands.matches(command) && matches(target),
    );
    return this.sees(role, target) && !isDenied;
  }

  #find(name: string): RuleSet | undefined {
    return Object.hasOwn(builtInRoles, name) ? builtInRoles[name] : this.#own.get(name);
  }
}

/** To somebody with a built-in role: which of the built-in ones would do. */
function refusalText(role: string, request: Request, { reason, rule }: Decision): string {
  if (!Object.hasOwn(builtInRoles, role)) return `the role ${role} does not allow ${reason}`;
  const anywhere: RuleTarget = { host: '', stack: '', labels: {} };
  const isOperators = builtInRoles['operator']?.decide(request, anywhere).isAllowed === true;
  const what = reason.replace(rule === '' ? ' (no rule does)' : ` (${rule})`, '');
  return `${what} needs the role ${isOperators ? 'operator' : 'admin'}; yours is ${role}`;
}

function unknownRole(code: 'not-found' | 'usage', name: string, known: readonly string[]): KomposeError {
  const [meant] = nearest(name, known, 1);
  const hint = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`;
  return new KomposeError(code, `there is no role ${quoted(name)}: ${hint}`);
}

/** Of a user to be. Throws `usage`. Reads the store: another transaction may just have removed it. */
export async function refuseUnknownRole(transaction: Transaction<Schema>, name: string): Promise<void> {
  if (Object.hasOwn(builtInRoles, name)) return;
  const own = (await transaction.selectFrom('roles').select('name').orderBy('name').execute()).map(
    (row) => row.name,
  );
  if (!own.includes(name)) throw unknownRole('usage', name, [...Object.keys(builtInRoles), ...own]);
}

function refuseBuiltIn(name: string): void {
  if (!Object.hasOwn(builtInRoles, name)) return;
  throw new KomposeError('conflict', `the role ${name} is built in and stays as it is: choose another name`);
}

/** Writes a role, new or in place of the one of that name. Throws `usage`, and `conflict` for a built-in one. */
export async function writeRole(
  transaction: Transaction<Schema>,
  { name, text }: { readonly name: string; readonly text: string },
  nowMs: number,
): Promise<void> {
  refuseBuiltIn(checkRoleName(name));
  await transaction
    .insertInto('roles')
    .values({ name, rules: text, changed_at: nowMs })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ rules: text, changed_at: nowMs }))
    .execute();
}

/** Throws `not-found`, and `conflict` for a built-in role or one that somebody has or is to have. */
export async function eraseRole(
  transaction: Transaction<Schema>,
  name: string,
  nowMs: number,
): Promise<void> {
  refuseBuiltIn(name);
  const { numDeletedRows } = await transaction
    .deleteFrom('roles')
    .where('name', '=', name)
    .executeTakeFirst();
  if (numDeletedRows === 0n)
    throw new KomposeError('not-found', `there is no role ${quoted(name)}: kompose roles`);
  const users = await transaction.selectFrom('users').select('name').where('role', '=', name).execute();
  if (users.length > 0) {
    const names = users.map((user) => user.name).join(', ');
    throw new KomposeError('conflict', `${names} has the role ${name}: first kompose users role NAME ROLE`);
  }
  const token = await transaction
    .selectFrom('tokens')
    .select('id')
    .where('role', '=', name)
    .where('uses_left', '>', 0)
    .where('expires_at', '>', nowMs)
    .executeTakeFirst();
  if (token === undefined) return;
  throw new KomposeError(
    'conflict',
    `the open token ${token.id} gives the role ${name}: kompose tokens revoke`,
  );
}
