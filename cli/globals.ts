/** Options that every command takes, before or after a noun. */
export interface GlobalOptions {
  readonly output: 'auto' | 'live' | 'plain' | 'json';
  readonly quiet: boolean;
  readonly color: boolean;
  readonly controller: string | undefined;
  readonly context: string | undefined;
}

/** The same as commander gives them: what was not typed is absent, but for `color`. */
export interface TypedGlobals {
  output?: GlobalOptions['output'];
  quiet?: true;
  color: boolean;
  controller?: string;
  context?: string;
}

/** Of what was typed in several places, the last counts. */
export function mergeGlobals(places: readonly TypedGlobals[]): GlobalOptions {
  return {
    output: lastOf(places, 'output') ?? 'auto',
    quiet: lastOf(places, 'quiet') ?? false,
    color: places.every(({ color }) => color),
    controller: lastOf(places, 'controller'),
    context: lastOf(places, 'context'),
  };
}

function lastOf<Name extends keyof TypedGlobals>(
  places: readonly TypedGlobals[],
  name: Name,
): TypedGlobals[Name] | undefined {
  return places.findLast((typed) => typed[name] !== undefined)?.[name];
}
