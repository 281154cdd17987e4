import { KomposeError } from '../errors.ts';
import { quoted } from '../quoted.ts';
import { commandProper, parseCommandList } from './command-list.ts';
import { furtherRights } from './further-rights.ts';
import { parseRule, parseStackRule, type Rule, type RuleTarget } from './rule.ts';
import { isPowerfulVariable, parseVariableList } from './variable-list.ts';

/** What somebody asks to do on a target. */
export interface Request {
  readonly command: string;
  readonly args: readonly string[];
  /** Names of the variables of -e. */
  readonly envNames: readonly string[];
}

export interface Decision {
  readonly isAllowed: boolean;
  /** The rule that decided, as written; empty where none allows it. */
  readonly rule: string;
  /** Of a refusal: what of the request is refused and by what, to be read after "… does not allow". */
  readonly reason: string;
}

/**
 * A text of one rule a line, of blank lines and of `#` comments:
 *
 *     allow PATTERN COMMANDS [LABEL...]     on these targets (section 2 of the command contract) these commands
 *     deny  PATTERN COMMANDS [LABEL...]     wins over every allow
 *     env   NAMES                           what -e may set (default: all but the powerful ones)
 *     read-only                             only @read, whatever is allowed (a host's own rules only)
 */
export interface RuleSet {
  /** What the lines say, without comments. */
  readonly text: string;
  readonly rules: readonly Rule[];
  /** A rule allows it and no rule denies it. Pure. */
  decide(request: Request, target: RuleTarget): Decision;
}

export interface RuleSetKind {
  /** `host`: a host's own rules, which name stacks only and where nothing need be allowed that nothing restricts. */
  readonly of: 'role' | 'host';
}

/** Throws `usage`, naming the line. */
export function parseRuleSet(text: string, { of }: RuleSetKind): RuleSet {
  const rules: Rule[] = [];
  const lines: string[] = [];
  let variables: { readonly text: string; readonly may: (name: string) => boolean } | undefined;
  let isReadOnly = false;
  for (const [index, line] of text.split('\n').entries()) {
    const words = line
      .replace(/(^|\s)#.*/, '')
      .split(/\s+/)
      .filter((word) => word !== '');
    const [first, ...rest] = words;
    if (first === undefined) continue;
    lines.push(words.join(' '));
    try {
      if (first === 'allow' || first === 'deny') {
        rules.push(of === 'role' ? parseRule(first, rest) : parseStackRule(first, rest));
      } else if (first === 'env' && rest.length === 1 && variables === undefined) {
        variables = { text: words.join(' '), may: parseVariableList(rest[0] ?? '') };
      } else if (first === 'read-only' && rest.length === 0 && of === 'host') isReadOnly = true;
      else throw new KomposeError('usage', unknownLine(first, of));
    } catch (error) {
      throw new KomposeError('usage', `line ${index + 1}: ${KomposeError.from(error).message}`, {
        cause: error,
      });
    }
  }
  const isOpen = of === 'host' && !rules.some(({ effect }) => effect === 'allow');
  const parts = { rules, variables, isReadOnly, isOpen, isEmpty: lines.length === 0 };
  return { text: lines.join('\n'), rules, decide: (request, target) => decide(parts, request, target) };
}

function unknownLine(word: string, of: RuleSetKind['of']): string {
  if (word === 'env') return 'write env NAMES once, such as: env TAG,IMAGE_*';
  const known = of === 'host' ? 'allow, deny, env or read-only' : 'allow, deny or env';
  return `a line does not begin with ${quoted(word)}: write ${known}`;
}

interface Parts {
  readonly rules: readonly Rule[];
  readonly variables: { readonly text: string; readonly may: (name: string) => boolean } | undefined;
  readonly isReadOnly: boolean;
  /** What no rule speaks of is allowed. */
  readonly isOpen: boolean;
  readonly isEmpty: boolean;
}

const reading = parseCommandList('@read');

function decide(parts: Parts, { command, args, envNames }: Request, target: RuleTarget): Decision {
  if (parts.isOpen && parts.isEmpty) return { isAllowed: true, rule: '', reason: '' };
  const wanted = { what: command, needs: commandProper(command) };
  const further = furtherRights(command, args).map(({ option, needs }) => {
    return { what: `${command} ${option}`, needs };
  });
  const rules = parts.rules.filter(({ matches }) => matches(target));
  for (const { what, needs } of [wanted, ...further]) {
    const refusal = refusalOf(parts, rules, what, needs);
    if (refusal !== undefined) return refusal;
  }
  const variable = envNames.find((name) => !(parts.variables?.may ?? isHarmless)(name));
  if (variable !== undefined) return refused(`-e ${variable}`, parts.variables?.text ?? '');
  const allowing = rules.find((rule) => rule.effect === 'allow' && allows(rule, wanted.needs));
  return { isAllowed: true, rule: allowing?.text ?? '', reason: '' };
}

function refusalOf(
  { isReadOnly, isOpen }: Parts,
  rules: readonly Rule[],
  what: string,
  needs: string,
): Decision | undefined {
  if (isReadOnly && !reading.matches(needs)) return refused(what, 'read-only');
  const denying = rules.find(({ effect, commands }) => effect === 'deny' && commands.matches(needs));
  if (denying !== undefined) return refused(what, denying.text);
  const isAllowed = isOpen || rules.some((rule) => rule.effect === 'allow' && allows(rule, needs));
  return isAllowed ? undefined : refused(what, '');
}

function allows({ commands }: Rule, needs: string): boolean {
  return needs === '*' ? commands.isWhole : commands.matches(needs);
}

function isHarmless(name: string): boolean {
  return !isPowerfulVariable(name);
}

function refused(what: string, rule: string): Decision {
  return { isAllowed: false, rule, reason: rule === '' ? `${what} (no rule does)` : `${what} (${rule})` };
}
