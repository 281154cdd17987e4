import { KomposeError } from '../../common/errors.ts';
import { nearest } from '../../common/nearest.ts';
import {
  hostFilter,
  labelFilter,
  literalTargets,
  matchPattern,
  parsePattern,
} from '../../common/patterns.ts';
import type { HostRecord } from './fleet.ts';

/** --host and --label as typed. */
export interface HostFilter {
  readonly hosts: readonly string[];
  readonly labels: readonly string[];
}

export interface ResolvedTarget {
  readonly host: string;
  readonly stack: string;
}

/**
 * The targets of a pattern, by host, then stack. A host that is away is matched by what it last told; where a
 * literal stack name is asked of a host named literally, or of one that never told anything, the target is there
 * all the same, so that it is reported as unreachable. Throws `usage` for a bad pattern, `not-found` (naming the
 * nearest targets) if nothing matches. Pure.
 */
export function resolveTargets(
  pattern: string,
  filter: HostFilter,
  hosts: readonly HostRecord[],
): ResolvedTarget[] {
  const parsed = parsePattern(pattern);
  const chosen = filtered(filter, hosts);
  const known = targetsOf(chosen);
  const named = namedOnAwayHosts(pattern, filter, chosen);
  const matched = matchPattern(parsed, [...known, ...named]);
  if (matched.length > 0) return matched;
  const unheard = matchPattern(parsed, namedOnUnheardHosts(pattern, chosen));
  if (unheard.length > 0) return unheard;
  throw new KomposeError('not-found', noMatch(pattern, filter, hosts, chosen));
}

/** The hosts of a filter. Throws `usage` for a bad one, `not-found` if nothing matches. Pure. */
export function chooseHosts(filter: HostFilter, hosts: readonly HostRecord[]): HostRecord[] {
  const chosen = filtered(filter, hosts);
  if (chosen.length > 0) return chosen;
  throw new KomposeError('not-found', noMatch('*', filter, hosts, chosen));
}

function filtered(filter: HostFilter, hosts: readonly HostRecord[]): HostRecord[] {
  const isHost = hostFilter(filter.hosts);
  const hasLabels = labelFilter(filter.labels);
  return hosts.filter(({ name, labels }) => isHost(name) && hasLabels(labels));
}

function targetsOf(hosts: readonly HostRecord[]): ResolvedTarget[] {
  return hosts.flatMap(({ name, stacks }) =>
    (stacks ?? []).map((stack) => ({ host: name, stack: stack.name })),
  );
}

function namedOnAwayHosts(
  pattern: string,
  filter: HostFilter,
  hosts: readonly HostRecord[],
): ResolvedTarget[] {
  const away = hosts.filter(({ session }) => session === undefined);
  const byOption = new Set(filter.hosts.flatMap((each) => each.split(',')));
  return literalTargets(parsePattern(pattern)).flatMap((term) =>
    away
      .filter(({ name }) => (term.hostName === name || byOption.has(name)) && (term.host?.(name) ?? true))
      .map(({ name }) => ({ host: name, stack: term.stack })),
  );
}

function namedOnUnheardHosts(pattern: string, hosts: readonly HostRecord[]): ResolvedTarget[] {
  const unheard = hosts.filter(({ session, stacks }) => session === undefined && stacks === undefined);
  return literalTargets(parsePattern(pattern)).flatMap((term) =>
    unheard
      .filter(({ name }) => term.host?.(name) ?? true)
      .map(({ name }) => ({ host: name, stack: term.stack })),
  );
}

function noMatch(
  pattern: string,
  filter: HostFilter,
  hosts: readonly HostRecord[],
  chosen: readonly HostRecord[],
): string {
  if (hosts.length === 0) return 'no host has joined yet: kompose tokens create --role agent';
  if (chosen.length === 0) {
    const asked = [...filter.hosts, ...filter.labels].join(' ');
    const near = nearestHosts(filter, hosts);
    return `no host matches ${asked}${near.length === 0 ? ' (kompose hosts lists them)' : hint(near)}`;
  }
  return `nothing matches ${pattern}${hint(nearestTargets(pattern, chosen, hosts))}`;
}

function nearestHosts(filter: HostFilter, hosts: readonly HostRecord[]): string[] {
  const names = hosts.map(({ name }) => name);
  return [...new Set(filter.hosts.flatMap((word) => nearest(word, names)))].slice(0, 3);
}

/** Whole targets for `host:stack`, stack names for a bare one; of other hosts if the chosen ones have none near. */
function nearestTargets(
  pattern: string,
  chosen: readonly HostRecord[],
  hosts: readonly HostRecord[],
): string[] {
  const typed = pattern.replace(/^:/, '');
  for (const candidates of [chosen, hosts]) {
    const targets = targetsOf(candidates);
    const words = targets.map(({ host, stack }) => (typed.includes(':') ? `${host}:${stack}` : stack));
    const found = nearest(typed, new Set(words));
    if (found.length > 0) return found;
  }
  return [];
}

function hint(words: readonly string[]): string {
  return words.length === 0 ? ' (kompose stacks lists what is there)' : `; did you mean ${words.join(', ')}?`;
}
