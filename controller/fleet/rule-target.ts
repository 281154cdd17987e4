import type { RuleTarget } from '../../common/rules/rule.ts';
import type { Fleet } from './fleet.ts';

/** A target with the labels that its host has now; none for a host that is not in the fleet. */
export function ruleTarget(fleet: Fleet, host: string, stack: string): RuleTarget {
  return { host, stack, labels: fleet.get(host)?.labels ?? {} };
}
