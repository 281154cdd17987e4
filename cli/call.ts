import type { Fleet } from './client.ts';
import type { Settings } from './config.ts';
import type { GlobalOptions } from './globals.ts';
import { printable } from '../common/printable.ts';
import type { Style } from './output/style.ts';
import type { Terminal } from './terminal.ts';

/** What every command gets. */
export interface Call {
  readonly settings: Settings;
  readonly globals: GlobalOptions;
  readonly terminal: Terminal;
  readonly style: Style;
  /** Of local mode: the stacks root of this machine; undefined where a controller is asked. */
  readonly findStacksRoot: () => Promise<string | undefined>;
  /** A link to the controller of the chosen context; the caller disposes of it. */
  readonly connect: () => Promise<Fleet>;
}

/** A line of kompose's own, on stderr. */
export function say({ globals, terminal }: Call, text: string): void {
  if (!globals.quiet) terminal.stderr(`${printable(text)}\n`);
}
