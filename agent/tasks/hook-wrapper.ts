/*
 * The bash around a hook. It sources hooks.sh and calls one function as a user would by hand, and writes the
 * variables exported at its end to a file, each as NAME=VALUE and a NUL byte.
 *
 * INVARIANTS
 * - bash starts with plain options; whatever the hook sets (`set -eux`, traps, IFS) holds for the hook.
 * - No line of this wrapper shows under `set -x` or `set -v`, nor does it set off the hook's traps visibly: it is one
 *   group, read before hooks.sh is; tracing that the file switched on at its top is switched off while we work and on
 *   again by a DEBUG trap inside the function. What is traced all the same goes to a stderr that is /dev/null, also
 *   where the hook sends traces to a descriptor of its own: BASH_XTRACEFD is set by the arithmetic in a redirection,
 *   which is never traced, and set back by another.
 * - Builtins are called as such: a hook may have functions of the same names.
 * - Exports are written at every way out: a return by our last line; `exit` and `set -e` by our EXIT trap; `exec`, and
 *   `exit` under an EXIT trap of the hook's own, by a DEBUG trap just before them. That one is set only for files that
 *   mention `exec` or `trap`, because it runs before every command; it follows into each function that is called. A
 *   DEBUG trap that the file sets at its top has precedence.
 * - A subshell never writes.
 * - What there was no room for is noticed: the last entry is written only where all before it were.
 * - Nothing here begins a process of its own where the hook did not ask for it (a trap, `set -x`): the names of what is
 *   exported go through a file beside the exports, since a `$(…)` takes as long as all else of this.
 */
const hideTraces = '9<<<$((__kompose_fd = ${BASH_XTRACEFD:-0}, ${BASH_XTRACEFD:+BASH_XTRACEFD = 2,} 0))';
const showTraces = '9<<<$((__kompose_fd ? (BASH_XTRACEFD = __kompose_fd) : 0))';
const dropTraps = 'builtin trap - DEBUG ERR RETURN';

/** Under `trap … DEBUG`; its last status is 0, since `shopt -s extdebug` skips commands by it. */
const follow = `{ __kompose_follow; ${showTraces}; } >/dev/null 2>&1 ${hideTraces}`;

/** Where the hook writes down the names of what it exports. */
export const namesFileOf = (exportsFile: string): string => `${exportsFile}.names`;

const script = `
__kompose_dump() {
  builtin local -; builtin set +aefuxv
  [[ $BASHPID == "$$" ]] || builtin return 0
  builtin local IFS=$' \\t\\n' __kompose_name __kompose_names __kompose_torn=
  { builtin compgen -e; builtin printf '%s\\n' __kompose_whole; } >|"${namesFileOf('$__kompose_out')}"
  builtin mapfile -t __kompose_names <"${namesFileOf('$__kompose_out')}"
  {
    [[ -z $__kompose_defined ]] || builtin printf '__kompose_defined=1\\0' || __kompose_torn=1
    for __kompose_name in "\${__kompose_names[@]}"; do
      if [[ $__kompose_name == __kompose_whole ]]; then
        [[ -n $__kompose_torn ]] || builtin printf '__kompose_whole=1\\0'
      elif [[ -v $__kompose_name ]]; then
        builtin printf '%s=%s\\0' "$__kompose_name" "\${!__kompose_name}" || __kompose_torn=1
      fi
    done
  } >|"$__kompose_out"
  builtin return 0
}
__kompose_finish() {
  builtin set +v; builtin local -; builtin set +ex
  __kompose_dump
  ${showTraces}
  builtin return "$__kompose_status"
}
__kompose_follow() {
  case $BASH_COMMAND in
    exec* | exit* | 'builtin ex'* | 'command ex'*) __kompose_dump ;;
    __kompose*) ;;
    *)
      if builtin declare -F -- "\${BASH_COMMAND%%[ ;]*}"; then
        builtin declare -ft -- "\${BASH_COMMAND%%[ ;]*}"
      fi
      ;;
  esac
}
{
  __kompose_defined= __kompose_out=$1 __kompose_file=$2 __kompose_function=$3 __kompose_watch=$4
  shift 4
  trap '{ ${dropTraps}; __kompose_dump; } >/dev/null 2>&1 ${hideTraces}' EXIT
  source "$__kompose_file"
  {
    __kompose_options=$-
    builtin set +xv
    ${showTraces}
    builtin declare -F -- "$__kompose_function" || builtin exit 0
    __kompose_defined=1
    if [[ ( -n $__kompose_watch || $__kompose_options == *x* ) && -z $(builtin trap -p DEBUG) ]]; then
      builtin declare -ft -- "$__kompose_function"
      builtin trap '[[ -z \${FUNCNAME[0]-} ]] || {
        builtin trap -- "\${__kompose_watch:--}" DEBUG
        if [[ $__kompose_options == *x* ]]; then builtin set -x; fi
      }' DEBUG
    elif [[ $__kompose_options == *x* ]]; then
      builtin set -x
    fi
  } >/dev/null 2>&1 ${hideTraces}
  "$__kompose_function" "$@"
  { ${dropTraps}; __kompose_finish; } >/dev/null 2>&1 9<<<$((__kompose_status = $?)) ${hideTraces}
}
`;

const definedMark = '__kompose_defined';
const wholeMark = '__kompose_whole';

/** What stands in the exports' file before the hook writes it. */
export const noExports = 'not written yet';

/** The command line that runs a hook; `exportsFile` is where its exports will stand. */
export function hookArgv(hook: {
  readonly file: string;
  readonly exportsFile: string;
  readonly replacesShell: boolean;
  readonly argv: readonly string[];
}): [string, ...string[]] {
  const [name = '', ...args] = hook.argv;
  const watch = hook.replacesShell ? follow : '';
  return ['bash', '--norc', '-c', script, 'kompose', hook.exportsFile, hook.file, name, watch, ...args];
}

export interface HookExports {
  /** Whether hooks.sh defined the function once it was sourced. */
  readonly isDefined: boolean;
  readonly variables: ReadonlyMap<string, string>;
  /** There was no room for all of it, or the hook was killed as it wrote; then there are no variables. */
  readonly isTorn: boolean;
}

/** Reads what the wrapper wrote. */
export function parseExports(text: string): HookExports {
  const variables = new Map<string, string>();
  if (text === noExports) return { isDefined: false, variables, isTorn: false };
  if (!text.endsWith(`${wholeMark}=1\0`)) return { isDefined: true, variables, isTorn: true };
  for (const entry of text.split('\0')) {
    const at = entry.indexOf('=');
    if (at > 0) variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  variables.delete(wholeMark);
  return { isDefined: variables.delete(definedMark), variables, isTorn: false };
}

/** Of bash's own making, or not a hook's to give. */
const notPassedOn =
  /^(?:_|PWD|OLDPWD|SHLVL|SCRIPT_DIR|stack|KOMPOSE_.*|__kompose_.*|BASH_FUNC_.*|BASH_XTRACEFD)$/;
const bashName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The environment of the steps after a hook: what it exported, without what it unset. Names that bash cannot
 * hold (`a.b`) stay as they were.
 */
export function envAfterHook(
  before: Readonly<Record<string, string>>,
  exported: ReadonlyMap<string, string>,
): Record<string, string> {
  const after: Record<string, string> = {};
  for (const [name, value] of Object.entries(before)) {
    if (!bashName.test(name) || notPassedOn.test(name)) after[name] = value;
  }
  for (const [name, value] of exported) {
    if (!notPassedOn.test(name)) after[name] = value;
  }
  return after;
}
