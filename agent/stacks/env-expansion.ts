/**
 * `$VAR` and `${VAR…}` in the values of a `.env` file, as docker compose expands them (compose-go's package
 * `template`; compared with compose 2.26 on thousands of random files). Its oddities are kept, since a file must
 * mean the same under both: an expression ends on its line; braces are counted without the character right after
 * each `{`; if they do not balance, the last `}` of the line closes. Where that version fails for an argument that
 * is not needed, as in `${A:-${B:?why}}` with A set, this does not.
 */

/** What stands in for the variables, and who hears of a bad expression. */
export interface ExpansionScope {
  readonly lookup: (name: string) => string | undefined;
  readonly fail: (problem: string) => never;
}

/** Nothing written by hand is nested deeper; a deeper file is refused before it exhausts the call stack. */
const maxDepth = 100;

/**
 * `text` with `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:+other}`, `${VAR+other}`, `${VAR:?why}`
 * and `${VAR?why}` replaced, `$$` by `$`. Unset variables are empty; any other `$` is text, so `$(…)` is.
 */
export function expandVariables(text: string, scope: ExpansionScope): string {
  return text
    .split('\n')
    .map((line) => expandLine(line, scope, 0))
    .join('\n');
}

function expandLine(line: string, scope: ExpansionScope, depth: number): string {
  if (depth > maxDepth) scope.fail('its expressions are nested too deep; use fewer levels');
  const reference = /\$(?:\$|(?<name>[a-z_][a-z0-9_]*)|(?<brace>\{))/gi;
  let expanded = '';
  let end = 0;
  for (let match = reference.exec(line); match !== null; match = reference.exec(line)) {
    expanded += line.slice(end, match.index);
    const { name, brace } = match.groups ?? {};
    if (brace !== undefined) {
      const braced = expandBraced(line, match.index + 1, scope, depth);
      expanded += braced.value;
      reference.lastIndex = braced.end;
    } else {
      expanded += name === undefined ? '$' : (scope.lookup(name) ?? '');
    }
    end = reference.lastIndex;
  }
  return expanded + line.slice(end);
}

/** `open` is the index of the `{`; `end` is behind the `}`. */
function expandBraced(line: string, open: number, scope: ExpansionScope, depth: number) {
  const head = /\{(?<name>[a-z_][a-z0-9_]*)(?<operator>:?[-+?]|\})/iy;
  head.lastIndex = open;
  const { name, operator } = head.exec(line)?.groups ?? {};
  const close = operator === '}' ? head.lastIndex - 1 : closingBrace(line, open);
  if (name === undefined || operator === undefined || close < head.lastIndex - 1) {
    return scope.fail('it holds a bad "${…}"; write ${NAME} or ${NAME:-default}, or $$ for a plain $');
  }
  const argument = () => expandLine(line.slice(head.lastIndex, close), scope, depth + 1);
  return { value: apply(operator, name, argument, scope), end: close + 1 };
}

/** The argument is expanded only where it is needed. */
function apply(operator: string, name: string, argument: () => string, scope: ExpansionScope): string {
  const value = scope.lookup(name);
  const isThere = value !== undefined && (value !== '' || !operator.startsWith(':'));
  if (operator.endsWith('+')) return isThere ? argument() : '';
  if (isThere || operator === '}') return value ?? '';
  if (operator.endsWith('-')) return argument();
  const why = argument();
  return scope.fail(`it needs the variable ${name}${why === '' ? '; set it' : `: ${why}`}`);
}

/** The index of the `}` for the `{` at `open`; -1 if the line has none. */
function closingBrace(line: string, open: number): number {
  let depth = 0;
  for (let at = open; at < line.length; at++) {
    if (line[at] === '}' && --depth === 0) return at;
    if (line[at] === '{') {
      depth++;
      at++;
    }
  }
  return line.lastIndexOf('}');
}
