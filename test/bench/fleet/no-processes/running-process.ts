import { Writable } from 'node:stream';
import type { ProcessEnd, ProcessSpec, RunningProcess } from '../../../../agent/process/running-process.ts';

/*
 * Stands in for agent/process/running-process.ts where light agents run: no process is begun. What would be one says a
 * line and ends well, at once, or once it is let go; one that reads its stdin says what it reads, until that ends.
 */

const said = Buffer.from('NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS\n');

const terminated = { exitCode: 143 };

/** Those that wait to be let go. */
const held = new Set<() => void>();
let isHolding = false;

/** From now on what begins goes on until it is let go. */
export function hold(): void {
  isHolding = true;
}

export function letGo(): void {
  isHolding = false;
  for (const release of held) release();
  held.clear();
}

export function startProcess({ onOutput, onStdin }: ProcessSpec): RunningProcess {
  const end = Promise.withResolvers<ProcessEnd>();
  const stop = (): Promise<ProcessEnd> => {
    end.resolve(terminated);
    return end.promise;
  };
  if (onStdin !== undefined) {
    onStdin(echo(onOutput, () => end.resolve({ exitCode: 0 })));
    return { pid: undefined, ended: end.promise, terminate: stop };
  }
  const finish = async (): Promise<void> => {
    await onOutput('stdout', said);
    end.resolve({ exitCode: 0 });
  };
  if (isHolding) held.add(() => void finish());
  else setImmediate(() => void finish());
  return { pid: undefined, ended: end.promise, terminate: stop };
}

function echo(onOutput: ProcessSpec['onOutput'], onEnd: () => void): Writable {
  return new Writable({
    write(bytes: Buffer, _, done) {
      Promise.resolve(onOutput('stdout', bytes)).then(() => done(), done);
    },
    final(done) {
      onEnd();
      done();
    },
  });
}

export async function terminate(): Promise<ProcessEnd> {
  return terminated;
}

export function notStarted(): string {
  return 'nothing is started here';
}

export function signalExitCode(): number {
  return 143;
}
