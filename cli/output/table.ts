import { printable } from '../../common/printable.ts';
import { padded, textWidth, wrapped } from './text-width.ts';

/** One column of a listing: its title and a row's text. */
export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** What it says where the screen is too narrow for all of it; `dropped` leaves the column out. */
  readonly narrow?: ((row: Row) => string) | 'dropped';
  /** Where that is still too much, its cells go on in the next line. */
  readonly wraps?: true;
}

const gap = 2;
/** What wraps never gets narrower; the screen may have to break lines by itself. */
const leastWidth = 12;

/**
 * The rows under their titles, columns aligned by two blanks; an empty cell is `-`. Ends in a line feed. `width` is
 * that of the screen, if it goes to one: nothing else is ever shortened.
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width = Infinity): string {
  const full = layOut(columns, rows);
  if (totalOf(full.widths) <= width) return rendered(full);
  const narrow = layOut(narrowed(columns), rows);
  return rendered({ ...narrow, widths: shrunk(narrow, width) });
}

interface Layout {
  readonly lines: readonly (readonly string[])[];
  readonly widths: readonly number[];
  readonly wraps: readonly boolean[];
}

function layOut<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Layout {
  const cells = rows.map((row) => columns.map(({ text }) => printable(text(row)) || '-'));
  const lines = [columns.map(({ title }) => title), ...cells];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => textWidth(line[index] ?? ''))));
  return { lines, widths, wraps: columns.map(({ wraps }) => wraps === true) };
}

function narrowed<Row>(columns: readonly Column<Row>[]): Column<Row>[] {
  return columns.flatMap((column) => {
    const { narrow = column.text } = column;
    return narrow === 'dropped' ? [] : [{ ...column, text: narrow }];
  });
}

/** The widest of those that wrap give way, until all fit. */
function shrunk({ widths, wraps }: Layout, width: number): number[] {
  const left = [...widths];
  while (totalOf(left) > width) {
    const widest = Math.max(...left.filter((_, index) => wraps[index]));
    if (widest <= leastWidth) break;
    left[left.findIndex((each, index) => wraps[index] === true && each === widest)] = widest - 1;
  }
  return left;
}

function totalOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width + gap, -gap);
}

function rendered({ lines, widths }: Layout): string {
  return lines.flatMap((cells) => alignedLines(cells, widths)).join('');
}

function alignedLines(cells: readonly string[], widths: readonly number[]): string[] {
  const columns = cells.map((cell, index) => wrapped(cell, widths[index] ?? Infinity));
  const height = Math.max(...columns.map((lines) => lines.length));
  return Array.from({ length: height }, (_, at) =>
    alignedLine(
      columns.map((lines) => lines[at] ?? ''),
      widths,
    ),
  );
}

function alignedLine(cells: readonly string[], widths: readonly number[]): string {
  const aligned = cells.map((cell, index) => padded(cell, widths[index] ?? 0));
  return `${aligned.join(' '.repeat(gap)).trimEnd()}\n`;
}
