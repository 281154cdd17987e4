import type { Target } from '../../common/task-event.ts';
import { printable } from '../../common/printable.ts';
import type { Paint } from './style.ts';
import { padded, textWidth } from './text-width.ts';

/** `host:stack`, as a user writes it. */
export function targetName(target: Pick<Target, 'host' | 'stack'>): string {
  return printable(`${target.host}:${target.stack}`);
}

/** One prefix a target, `host:stack | `, aligned to the longest; neighbours differ in colour. */
export function prefixes(targets: readonly Target[], paint: Paint): string[] {
  const names = targets.map(targetName);
  const width = longest(names);
  return names.map((name, index) => paint(colourAt(index), `${padded(name, width)} |`) + ' ');
}

/** Cells of the widest. */
export function longest(texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, textWidth(text)), 0);
}

/** The colours of compose, in its order. */
const colours = ['cyan', 'yellow', 'green', 'magenta', 'blue', 'brightCyan', 'brightYellow'] as const;

function colourAt(index: number): (typeof colours)[number] {
  return colours[index % colours.length] ?? 'cyan';
}
