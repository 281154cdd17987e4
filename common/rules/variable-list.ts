import { parseGlob, type Glob } from '../glob.ts';
import { globContext, splitTerms } from '../terms.ts';

/** Variables that decide what code runs, with whose keys, or against which engine or database. */
const powerful = new RegExp(
  `^(?:${[
    'PATH|HOME|TMPDIR|BASH_ENV|ENV|SHELLOPTS|BASHOPTS|IFS|PS4|CDPATH|JAVA_TOOL_OPTIONS',
    'NODE_(?:OPTIONS|PATH|COMPILE_CACHE|REPL_EXTERNAL_MODULE|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED)',
    'LD_.*|DOCKER_.*|COMPOSE_.*|BUILDX_.*|BUILDKIT_.*|PG.*|PSQL.*|.*_PROXY|SSH_.*|XDG_.*|KOMPOSE_.*',
    'GIT_(?:SSH.*|CONFIG.*|EXEC_PATH|ASKPASS|DIR|WORK_TREE|TEMPLATE_DIR)|PYTHON(?:PATH|HOME|STARTUP)|PERL5.*|RUBY(?:OPT|LIB)',
  ].join('|')})$`,
  'i',
);

/** Whether setting this variable with `-e` is as much as running code of one's own. */
export function isPowerfulVariable(name: string): boolean {
  return powerful.test(name);
}

/**
 * Which names `-e` may set: a comma list of names, globs and `!` of each. Of globs only a bare `*` means the powerful
 * variables too; else such a one is written in full. Throws `usage`.
 */
export function parseVariableList(text: string): (name: string) => boolean {
  const context = globContext('list of variables', text);
  const included: Glob[] = [];
  const excluded: Glob[] = [];
  let isWhole = false;
  for (const { piece, isExcluded } of splitTerms(text, context)) {
    isWhole ||= piece.text === '*' && !isExcluded;
    (isExcluded ? excluded : included).push(parseGlob(piece.text, piece.offset, context));
  }
  const isMeant = (name: string): boolean =>
    isPowerfulVariable(name) && !isWhole
      ? included.some(({ literals }) => literals.includes(name))
      : included.length === 0 || included.some(({ matches }) => matches(name));
  return (name) => isMeant(name) && !excluded.some(({ matches }) => matches(name));
}
