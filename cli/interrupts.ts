/**
 * Calls `first` at the first Ctrl-C and `second` at each later one, which must end the process: a user who asks
 * twice waits for nothing. Dispose of it to give Ctrl-C its usual meaning back.
 */
export function onInterrupt(first: () => void, second: () => void): Disposable {
  let count = 0;
  const heard = (): void => {
    count++;
    if (count === 1) first();
    else second();
  };
  process.on('SIGINT', heard);
  return { [Symbol.dispose]: () => process.off('SIGINT', heard) };
}

/** The exit code of a run that the user cancelled or left. */
export const interruptedExitCode = 130;
