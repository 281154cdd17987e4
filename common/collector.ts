/** Calls V8's collector, which is there for whoever asks, where Node was started with `--expose-gc`; otherwise it is made to be. */
export function collect(options: NodeJS.GCOptions): void {
  collector ??= globalThis.gc ?? exposedCollector();
  collector(options);
}

let collector: NodeJS.GCFunction | undefined;

/** V8 shows it to contexts that are made once it has been told to. No start waits for these modules. */
function exposedCollector(): NodeJS.GCFunction {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const { runInNewContext } = process.getBuiltinModule('node:vm');
  setFlagsFromString('--expose-gc');
  const exposed = runInNewContext('gc') as NodeJS.GCFunction;
  setFlagsFromString('--no-expose-gc');
  return exposed;
}
