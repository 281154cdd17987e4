import { KomposeError } from '../errors.ts';
import { labelFilter, matchesTarget, parsePattern, type StackAddress } from '../patterns.ts';
import { quoted } from '../quoted.ts';
import { parseCommandList, type CommandList } from './command-list.ts';

/** A target as rules look at it. */
export interface RuleTarget extends StackAddress {
  /** Of its host. */
  readonly labels: Readonly<Record<string, string>>;
}

/** `allow PATTERN COMMANDS [LABEL...]`, or `deny …`. */
export interface Rule {
  readonly effect: 'allow' | 'deny';
  /** As written, with single blanks. */
  readonly text: string;
  readonly commands: CommandList;
  readonly matches: (target: RuleTarget) => boolean;
}

/** Throws `usage`. */
export function parseRule(effect: Rule['effect'], words: readonly string[]): Rule {
  const [pattern, commandWords, ...labels] = words;
  if (pattern === undefined || commandWords === undefined) {
    const example = `${effect} 'staging-*:*' up,down,ps,logs env=test`;
    throw new KomposeError('usage', `a rule is ${effect} PATTERN COMMANDS [LABEL...], such as: ${example}`);
  }
  const targets = parsePattern(pattern);
  const commands = parseCommandList(commandWords);
  const hasLabels = labelFilter(labels);
  return {
    effect,
    text: [effect, ...words].join(' '),
    commands,
    matches: (target) => matchesTarget(targets, target) && hasLabels(target.labels),
  };
}

/** The rule of one host's own, which names no host: `allow STACKS COMMANDS`. Throws `usage`. */
export function parseStackRule(effect: Rule['effect'], words: readonly string[]): Rule {
  const [stacks = '', , label] = words;
  const { included, excluded } = parsePattern(stacks === '' ? '*' : stacks);
  if ([...included, ...excluded].some(({ host }) => host !== undefined)) {
    throw new KomposeError('usage', `${quoted(stacks)} names a host: here only stacks are named`);
  }
  if (label !== undefined) {
    throw new KomposeError('usage', `${quoted(label)} is one word too many: ${effect} STACKS COMMANDS`);
  }
  return parseRule(effect, words);
}
