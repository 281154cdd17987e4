/**
 * Gives a controller that is away some time to come back, once for each time that it goes; then `giveUp` is called.
 * Dispose of it to wait no more.
 */
export class CutOff implements Disposable {
  readonly #patienceMs: number;
  readonly #giveUp: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(patienceMs: number, giveUp: () => void) {
    this.#patienceMs = patienceMs;
    this.#giveUp = giveUp;
  }

  /** There is a link. */
  linked(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** There is none, for the first time or still. */
  lost(): void {
    this.#timer ??= setTimeout(this.#giveUp, this.#patienceMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
