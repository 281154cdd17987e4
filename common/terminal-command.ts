/** Options of compose's `exec` and `run` that take the next word as their value. */
const valueOptions: Readonly<Record<string, ReadonlySet<string>>> = {
  exec: new Set(['-e', '--env', '--index', '-u', '--user', '-w', '--workdir']),
  run: new Set([
    '--cap-add',
    '--cap-drop',
    '--entrypoint',
    '-e',
    '--env',
    '--env-from-file',
    '-l',
    '--label',
    '--name',
    '-p',
    '--publish',
    '--pull',
    '-u',
    '--user',
    '-v',
    '--volume',
    '--volumes',
    '--labels',
    '-w',
    '--workdir',
  ]),
};

/** With these there is nothing on a terminal. */
const declining = new Set(['-T', '--no-TTY', '--no-tty', '-d', '--detach']);

/**
 * Whether a command runs on a terminal when its client has one: compose's `exec` and `run` do, unless `-T` or `-d` says
 * otherwise before the service. Pure; by the words alone.
 */
export function takesTerminal(command: string, args: readonly string[]): boolean {
  if (valueOptions[command] === undefined) return false;
  let takes = true;
  for (const { name, value } of optionsBeforeService(command, args)) {
    if (declining.has(name)) takes = isFalse(value);
    if (name === '-t' || name === '--tty') takes = !isFalse(value);
  }
  return takes;
}

/** The options of compose's `exec` and `run` themselves: what follows the service is the container's business. Pure. */
export function optionsBeforeService(command: string, args: readonly string[]): CommandOption[] {
  const withValue = valueOptions[command] ?? new Set();
  const found: CommandOption[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? '';
    if (!word.startsWith('-') || word === '--') break;
    const { options, isValueNext } = splitOptions(word, withValue);
    found.push(...options);
    if (isValueNext) at++;
  }
  return found;
}

export interface CommandOption {
  readonly name: string;
  /** What stands in the same word. */
  readonly value: string | undefined;
}

/** `-itT` are three options; `-ux` is `-u` with its value. */
function splitOptions(
  word: string,
  withValue: ReadonlySet<string>,
): { options: CommandOption[]; isValueNext: boolean } {
  if (word.startsWith('--')) {
    const [name = '', ...value] = word.split('=');
    const option = { name, value: value.length === 0 ? undefined : value.join('=') };
    return { options: [option], isValueNext: withValue.has(name) && option.value === undefined };
  }
  const options: CommandOption[] = [];
  for (let at = 1; at < word.length; at++) {
    const name = `-${word[at]}`;
    if (withValue.has(name)) {
      const value = at === word.length - 1 ? undefined : word.slice(at + 1);
      return { options: [...options, { name, value }], isValueNext: value === undefined };
    }
    if (word[at + 1] === '=') {
      options.push({ name, value: word.slice(at + 2) });
      break;
    }
    options.push({ name, value: undefined });
  }
  return { options, isValueNext: false };
}

/** As Go's strconv.ParseBool reads it. */
function isFalse(value: string | undefined): boolean {
  return value !== undefined && ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value);
}
