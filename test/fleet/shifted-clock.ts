import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { ensureParts } from './install.ts';

const pattern = '/usr/lib/*/faketime/libfaketimeMT.so.1';

/**
 * A clock for programs, which shows another time than the machine's; it can be set while they run. Timers go on as they
 * would: only what a program takes for the time of day is another.
 */
export class ShiftedClock {
  /** What programs that go by it need in their environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  private constructor(file: string, library: string) {
    this.#file = file;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** `file` is its own; `by` is like `+70d` or `-5h`. */
  static async make(file: string, by: string): Promise<ShiftedClock> {
    const find = (): string | undefined => globSync(pattern)[0];
    await ensureParts([{ package: 'libfaketime', isThere: async () => find() !== undefined }]);
    const library = find();
    if (library === undefined) throw new Error('libfaketime is not where Debian puts it');
    const clock = new ShiftedClock(file, library);
    await clock.set(by);
    return clock;
  }

  async set(by: string): Promise<void> {
    await writeFile(this.#file, `${by}\n`);
  }
}
