import { KomposeError } from './errors.ts';

/** In characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A client's terminal; `term` is its TERM. */
export interface ClientTerminal extends TerminalSize {
  readonly term: string;
}

/** The kernel keeps 16 bits of each. */
const maxCharacters = 65_535;

/** Throws `usage` for a size that no terminal has. */
export function checkTerminalSize({ rows, columns }: TerminalSize): TerminalSize {
  for (const count of [rows, columns]) {
    if (!Number.isInteger(count) || count < 1 || count > maxCharacters)
      throw new KomposeError('usage', `a terminal cannot have ${rows} rows and ${columns} columns`);
  }
  return { rows, columns };
}

/** Throws `usage`, also for a TERM that is no name. */
export function checkTerminal({ term, ...size }: ClientTerminal): ClientTerminal {
  if (!/^[A-Za-z0-9][\w.+-]{0,63}$/.test(term)) throw new KomposeError('usage', 'TERM is not a name');
  return { ...checkTerminalSize(size), term };
}
