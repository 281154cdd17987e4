import type { Writable } from 'node:stream';
import { KomposeError } from '../common/errors.ts';
import { isStdinKey, stdinMarker, type MarkStdin, type StdinKey } from '../common/signing/stdin-marks.ts';
import type { SendStdin } from '../common/stdin-pump.ts';

/** Gives our stdin to the one task of a run, over the call that started it, each piece marked as ours. */
export class StdinSender {
  readonly #call: Pick<Writable, 'write' | 'writable'>;
  readonly #key: StdinKey;
  readonly #task: string;
  #mark: MarkStdin | undefined;
  #offset = 0;

  constructor(call: Pick<Writable, 'write' | 'writable'>, key: StdinKey, task: string) {
    this.#call = call;
    this.#key = key;
    this.#task = task;
  }

  /** The agent's half of the key: the first that is told counts. Throws `protocol` for what is none. */
  agree(agentKey: Uint8Array): void {
    if (!isStdinKey(agentKey)) throw new KomposeError('protocol', 'the agent has told no key for stdin');
    this.#mark ??= stdinMarker(this.#key, agentKey, this.#task);
  }

  readonly send: SendStdin = (data, isEnd) => {
    if (this.#mark === undefined || !this.#call.writable) return;
    const mark = this.#mark({ offset: this.#offset, data, isEnd });
    this.#offset += data.length;
    this.#call.write({ kind: { $case: 'stdin', value: { data, isEnd, mark } } });
  };
}
