import { parseRuleSet, type RuleSet } from './rule-set.ts';

/** The roles that are there from the start and cannot be changed. */
export const builtInRoles: Readonly<Record<string, RuleSet>> = Object.fromEntries(
  Object.entries({
    admin: 'allow * *\nenv *',
    operator: 'allow * @read,@change',
    viewer: 'allow * @read',
  }).map(([name, text]) => [name, parseRuleSet(text, { of: 'role' })]),
);
