interface Window<Item> {
  readonly first: Item;
  readonly timer: NodeJS.Timeout;
  recorded: number;
  more: number;
}

interface Options<Item> {
  readonly windowMs: number;
  /** So many of a kind are recorded one by one in that time; the rest is counted. */
  readonly mostRecords: number;
  readonly record: (item: Item) => Promise<void>;
  /** So many more came than were recorded. */
  readonly recordMore: (first: Item, more: number) => Promise<void>;
}

/*
 * Records of what somebody else sets off, which they cannot flood.
 *
 * INVARIANT: the first of a window are recorded before `tell` resolves; those after them are counted, and their number
 * is recorded at the window's end. So a kind makes that many records and one a window.
 */
export class RecordWindows<Item> {
  readonly #options: Options<Item>;
  readonly #windows = new Map<string, Window<Item>>();

  constructor(options: Options<Item>) {
    this.#options = options;
  }

  has(kind: string): boolean {
    return this.#windows.has(kind);
  }

  /** What began each window. */
  get firsts(): Item[] {
    return Array.from(this.#windows.values(), ({ first }) => first);
  }

  /** Resolves when it is recorded or counted. */
  async tell(kind: string, item: Item): Promise<void> {
    const window = this.#windows.get(kind) ?? this.#begin(kind, item);
    if (window.recorded >= this.#options.mostRecords) {
      window.more++;
      return;
    }
    window.recorded++;
    await this.#options.record(item);
  }

  /** Records what is counted. */
  async close(): Promise<void> {
    await Promise.all([...this.#windows.keys()].map((kind) => this.#end(kind)));
  }

  #begin(kind: string, first: Item): Window<Item> {
    const timer = setTimeout(() => void this.#end(kind), this.#options.windowMs);
    timer.unref();
    const window = { first, timer, recorded: 0, more: 0 };
    this.#windows.set(kind, window);
    return window;
  }

  async #end(kind: string): Promise<void> {
    const window = this.#windows.get(kind);
    this.#windows.delete(kind);
    if (window === undefined) return;
    clearTimeout(window.timer);
    if (window.more > 0) await this.#options.recordMore(window.first, window.more);
  }
}
