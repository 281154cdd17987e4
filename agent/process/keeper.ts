/*
 * The bash around a step that goes on without its agent: it takes what the step writes into files, and its exit code
 * into another.
 *
 * What it leaves in the step's folder:
 *   keeper    its own pid and start time. Made with O_EXCL: who makes this file decides whether the step runs.
 *   step      pid of the step, which leads a session and process group of its own.
 *   stdout.N  what the step wrote, in pieces from N = 0. `stderr.N` likewise; `stdout.end`: no more will come.
 *   torn      some of it is missing: there was no room, or what took it was killed.
 *   drained   all that the step itself wrote is in the pieces, but for what a `dd` has in its hand; what comes later is a
 *             background job's.
 *   status    the exit code and a line feed, over blanks that are there before: it needs no room.
 *
 * INVARIANTS
 * - A piece has at most 4 MiB, and a stream at most about 20 MiB in its pieces; then it waits until the oldest is
 *   removed: a step that nobody reads is held up like by a full pipe.
 * - What has been read is removed by its reader, and at last the whole folder; what still comes then is dropped, so
 *   that a background job is not ended by a closed pipe.
 * - The step gets its environment as it would without all this, save for variables that are bash's own (SHLVL, RANDOM).
 *   `-p` keeps BASH_ENV, SHELLOPTS and functions in the environment from having an effect here.
 * - The mark is in the step's environment only: who ends the marked processes does not end the keeper.
 * - If the agent is gone when the step ends, the keeper stays until the next one has seen that, for a minute at most:
 *   so long it keeps the stack's lock.
 */
const script = `
set +o posix
__kompose_dir=$1 __kompose_mark=$2 __kompose_agent=$3 __kompose_streams=$4
__kompose_dd=$5 __kompose_setsid=$6 __kompose_cat=$7 __kompose_sleep=$8
shift 8
export -n PWD OLDPWD SHLVL
read -r __kompose_stat </proc/$$/stat
__kompose_stat=(\${__kompose_stat##*) })
set -C
printf '%s %s\\n' $$ "\${__kompose_stat[19]}" >"$__kompose_dir/keeper" || exit 1
set +C
__kompose_pause() {
  [[ -v __kompose_never ]] || exec {__kompose_never}<> <(:)
  read -rt "\${1-0.1}" -u "$__kompose_never" || :
}
__kompose_take() {
  local n=0 oldest=0 waiting=0 said reads size sizes=()
  while :; do
    while
      while ((oldest < n)) && [[ ! -e $__kompose_dir/$1.$oldest ]]; do
        waiting=$((waiting - sizes[oldest]))
        unset "sizes[oldest]"
        oldest=$((oldest + 1))
      done
      ((waiting >= 16777216))
    do __kompose_pause; done
    if said=$(LC_ALL=C "$__kompose_dd" bs=4k count=1024 of="$__kompose_dir/$1.$n" 2>&1); then
      reads=\${said%% records in*}
      ((\${reads##*$'\n'} == 1024)) || break
    else
      [[ -d $__kompose_dir ]] || exec "$__kompose_cat" >/dev/null
      __kompose_pause
      [[ -e $__kompose_dir/$1.$n ]] || continue
      : >"$__kompose_dir/torn"
    fi
    size=\${said##*$'\n'}
    size=\${size%% *}
    [[ $size =~ ^[0-9]+$ ]] || size=4194304
    [[ -s $__kompose_dir/$1.$n ]] || size=0
    sizes[n]=$size
    waiting=$((waiting + size))
    n=$((n + 1))
  done
  : >"$__kompose_dir/$1.end"
}
case $__kompose_streams in
  *stdout*)
    exec {__kompose_out}> >(umask 077; __kompose_take stdout)
    __kompose_out_taker=$!
    ;;
  *) exec {__kompose_out}>&1 ;;
esac
exec {__kompose_err}> >(umask 077; exec {__kompose_out}>&- >&-; __kompose_take stderr)
__kompose_err_taker=$!
(
  exec >&"$__kompose_out" 2>&"$__kompose_err" {__kompose_out}>&- {__kompose_err}>&-
  printf '%s\\n' "$BASHPID" >"$__kompose_dir/step"
  KOMPOSE_STEP_OF=$__kompose_mark exec "$__kompose_setsid" "$@"
)
__kompose_status=$?
exec {__kompose_in}</dev/fd/"$__kompose_err"
case $__kompose_streams in
  *stdout*) exec {__kompose_in_out}</dev/fd/"$__kompose_out" ;;
esac
exec {__kompose_out}>&- {__kompose_err}>&- >&- <&-
printf '%s\\n' "$__kompose_status" 1<>"$__kompose_dir/status"
SECONDS=0
# Whether what takes a stream has yet to take some of it; notes it where it is gone.
__kompose_has_more() {
  local taker=there
  kill -0 "$2" || taker=gone
  [[ ! -e $__kompose_dir/$1.end ]] || return 1
  if [[ $taker == there ]]; then read -rt 0 -u "$3"; else
    : >"$__kompose_dir/torn"
    return 1
  fi
}
while
  __kompose_has_more stderr "$__kompose_err_taker" "$__kompose_in" ||
    { [[ -v __kompose_in_out ]] && __kompose_has_more stdout "$__kompose_out_taker" "$__kompose_in_out"; }
do
  [[ -d $__kompose_dir ]] || break
  kill -0 "$__kompose_agent" || ((SECONDS < 60)) || exit
  __kompose_pause 0.01
done
exec {__kompose_in}>&-
: >"$__kompose_dir/drained"
kill -0 "$__kompose_agent" || exec "$__kompose_sleep" "$((SECONDS < 60 ? 60 - SECONDS : 0))"
`;

/** The programs that it calls, each by its path. */
export interface KeeperTools {
  readonly bash: string;
  readonly dd: string;
  readonly setsid: string;
  readonly cat: string;
  readonly sleep: string;
}

export const keeperToolNames = ['bash', 'dd', 'setsid', 'cat', 'sleep'] as const;

/** What stands in `status` before there is one. */
export const noStatus = ' '.repeat(16);

/** The command line that keeps a step; `hasNoStdout`: its stdout is that of the keeper. Pure. */
export function keeperArgv(
  tools: KeeperTools,
  step: {
    readonly folder: string;
    readonly mark: string;
    readonly agentPid: number;
    readonly hasNoStdout: boolean;
    readonly argv: readonly string[];
  },
): [string, ...string[]] {
  const { bash, dd, setsid, cat, sleep } = tools;
  const streams = step.hasNoStdout ? 'stderr' : 'stdout stderr';
  const words = [step.folder, step.mark, String(step.agentPid), streams, dd, setsid, cat, sleep];
  return [bash, '--norc', '-p', '-c', script, 'kompose', ...words, ...step.argv];
}

/** What a `status` file says: undefined while the step runs. Pure. */
export function parseStatus(text: string): number | undefined {
  const [, digits] = /^(\d+)\n/.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
