import { longest } from './prefix.ts';
import { printable } from './printable.ts';

/** One column of a listing: its title and a row's text. */
export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
}

/** The rows under their titles, columns aligned by two blanks; an empty cell is `-`. Ends in a line feed. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ text }) => printable(text(row)) || '-'));
  const lines = [columns.map(({ title }) => title), ...cells];
  const widths = columns.map((_, index) => longest(lines.map((line) => line[index] ?? '')));
  return lines.map((line) => alignedLine(line, widths)).join('');
}

function alignedLine(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}
