import type { Frame } from './cpu-profile.ts';

const width = 1200;
const rowHeight = 16;
const titleHeight = 24;
/** What is narrower would not be seen. */
const narrowestPx = 1.2;
const charPx = 6.2;

interface Box {
  readonly frame: Frame;
  readonly x: number;
  readonly depth: number;
  readonly px: number;
}

/** An SVG of a tree of frames, the root at the top; a frame's width is its share of the time. */
export function flameGraph(root: Frame, title: string): string {
  const boxes = [...boxesOf(root, 0, 0, width / root.totalUs)];
  const deepest = boxes.reduce((most, { depth }) => Math.max(most, depth), 0);
  const height = titleHeight + (deepest + 1) * rowHeight;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="10">`;
  const drawn = boxes.map((box) => draw(box, root.totalUs));
  return [head, `<text x="4" y="16" font-size="13">${escaped(title)}</text>`, ...drawn, '</svg>', ''].join(
    '\n',
  );
}

function* boxesOf(frame: Frame, x: number, depth: number, pxAUs: number): Generator<Box> {
  const px = frame.totalUs * pxAUs;
  if (px < narrowestPx) return;
  yield { frame, x, depth, px };
  for (const child of frame.children.toSorted((a, b) => b.totalUs - a.totalUs)) {
    yield* boxesOf(child, x, depth + 1, pxAUs);
    x += child.totalUs * pxAUs;
  }
}

function draw({ frame: { name, totalUs }, x, depth, px }: Box, allUs: number): string {
  const y = titleHeight + depth * rowHeight;
  const share = ((totalUs / allUs) * 100).toFixed(1);
  const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${(px - 0.4).toFixed(1)}" height="${rowHeight - 1}" fill="${colourOf(name)}"/>`;
  const room = Math.floor((px - 4) / charPx);
  const text =
    room < 3 ? '' : `<text x="${(x + 2).toFixed(1)}" y="${y + 11}">${escaped(name.slice(0, room))}</text>`;
  return `<g><title>${escaped(name)} ${share} %</title>${rect}${text}</g>`;
}

/** Warm: ours; green: libraries; blue: Node's and the machine's. */
function colourOf(name: string): string {
  if (name.endsWith('.ts')) return '#f4a460';
  if (/ node:|^\(/.test(name) || !/\.[cm]?js$/.test(name)) return '#a9c7e8';
  return '#b5d99c';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
