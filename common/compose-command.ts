/**
 * What kompose knows of a command's nature, by its word and arguments alone (section 6 of the command
 * contract): whether it only reads, who waits for whom, and what becomes of it when nobody watches.
 */
export interface CommandTraits {
  /** Changes nothing: needs no lock, runs on all stacks of a host at once, ends when nobody watches. */
  readonly reads: boolean;
  /** Ends with its watchers, although it changes something: `up` without `-d`, `watch`, `attach`, `wait`. */
  readonly endsWithWatcher: boolean;
  /** Waits for its turn on the stack. */
  readonly locks: boolean;
  /** Asks before it touches more than one target on a terminal. */
  readonly confirms: boolean;
  /** Only these read the client's stdin. */
  readonly readsStdin: boolean;
}

const readingCommands = new Set([
  'ps',
  'logs',
  'top',
  'port',
  'config',
  'images',
  'events',
  'stats',
  'ls',
  'version',
  'volumes',
]);
/** Those that take something away. */
export const confirmedCommands: readonly string[] = ['down', 'kill', 'rm', 'stop', 'db:import', 'db:cleanup'];
const attachedCommands = new Set(['watch', 'attach', 'wait']);
const stdinCommands = new Set(['exec', 'run']);

/** Pure; an unknown word counts as one that changes. */
export function commandTraits(command: string, args: readonly string[]): CommandTraits {
  const reads = readingCommands.has(command);
  const readsStdin = stdinCommands.has(command);
  return {
    reads,
    readsStdin,
    endsWithWatcher: attachedCommands.has(command) || (command === 'up' && !isDetachedUp(args)),
    locks: !reads && !readsStdin,
    confirms: confirmedCommands.includes(command),
  };
}

function isDetachedUp(args: readonly string[]): boolean {
  return args.some(
    (arg) =>
      ['--detach', '--detach=true', '--wait', '--wait=true', '--no-start', '--help'].includes(arg) ||
      /^-[a-zA-Z]*d[a-zA-Z]*$/.test(arg),
  );
}
