/** What a shell sources to complete `kompose`; each hands the line to `kompose __complete`. */
export const scripts = {
  bash: String.raw`# kompose completion for bash: source <(kompose completion bash)
_kompose() {
  COMPREPLY=()
  local candidate
  while IFS= read -r candidate; do
    COMPREPLY+=("$candidate")
  done < <(kompose __complete bash "${'$'}{COMP_WORDS[COMP_CWORD]}" "${'$'}{COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  if [[ ${'$'}{#COMPREPLY[@]} -eq 1 && ${'$'}{COMPREPLY[0]} == *[=:] ]] && type compopt >/dev/null 2>&1; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _kompose kompose
`,
  zsh: String.raw`#compdef kompose
# kompose completion for zsh: source <(kompose completion zsh), after compinit
_kompose() {
  local -a candidates
  candidates=("${'$'}{(@f)$(kompose __complete zsh -- "${'$'}{(@Q)words[2,CURRENT-1]}" "${'$'}{(Q)PREFIX}" 2>/dev/null)}")
  candidates=(${'$'}{candidates:#})
  compadd -S '' -- ${'$'}{(M)candidates:#*[=:]}
  compadd -- ${'$'}{candidates:#*[=:]}
}
if [[ ${'$'}{zsh_eval_context[-1]} == loadautofunc ]]; then
  _kompose "$@"
else
  compdef _kompose kompose
fi
`,
  fish: String.raw`# kompose completion for fish: kompose completion fish | source
function __kompose_complete
  set -l words (commandline -opc)
  set -e words[1]
  set -l current (commandline -ct)
  kompose __complete fish -- $words "$current" 2>/dev/null
end
complete -c kompose -f -a '(__kompose_complete)'
`,
} as const;
