import { mkdir, writeFile } from 'node:fs/promises';
import { scaleOf, tickText, type Axis, type Scale } from './axis.ts';
import type { Point } from './slope.ts';

/** A drawing of lines. */
export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** What the legend names, in this order. */
  readonly series: readonly Series[];
}

export interface Series {
  readonly name: string;
  /** Joined in this order; with few of them each has a dot. */
  readonly points: readonly Point[];
  /** What was not measured: a fit, a limit. */
  readonly isDashed?: boolean;
}

const folder = new URL('../../docs/plots/', import.meta.url);

/** Draws docs/plots/NAME.svg; returns the Markdown that shows it in a file of docs/. */
export async function writePlot(name: string, plot: Plot): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(new URL(`${name}.svg`, folder), plotSvg(plot));
  return `![${plot.title}](plots/${name}.svg)`;
}

/** Told apart by those, too, who do not see all colours (the set of Okabe and Ito); after seven they begin anew. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'] as const;

/** Pixels of the whole, of which the legend's column gets what its names need. */
const area = { left: 76, top: 44, width: 560, height: 300 } as const;
const below = 52;
const maxDots = 30;

/**
 * The text of an SVG. It brings its own white ground, so that it is the same on a white page and on a dark one. Pure.
 * Throws a RangeError if there are no points, or some that their axis cannot show.
 */
export function plotSvg({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const scaleX = scaleOf(
    x,
    points.map(([value]) => value),
    false,
  );
  const scaleY = scaleOf(
    y,
    points.map(([, value]) => value),
    true,
  );
  const longest = Math.max(...series.map(({ name }) => name.length));
  const width = Math.ceil(area.left + area.width + 56 + longest * 6.8);
  const height = area.top + area.height + below;
  const place = ([valueX, valueY]: Point): Point => [
    area.left + scaleX.at(valueX) * area.width,
    area.top + (1 - scaleY.at(valueY)) * area.height,
  ];
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="#333333">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" rx="6" fill="#ffffff"/>`,
    text(area.left, 26, title, 'font-size="15" font-weight="600"'),
    ...gridX(x, scaleX),
    ...gridY(y, scaleY),
    ...series.flatMap((one, index) => [...line(one, index, place), ...legend(one, index)]),
    '</svg>',
  ].join('\n')}\n`;
}

function gridX({ label }: Axis, { ticks, at }: Scale): string[] {
  const bottom = area.top + area.height;
  const marks = ticks.flatMap((tick) => {
    const left = area.left + at(tick) * area.width;
    const grid = `<path d="M${pixels(left)} ${pixels(area.top)}V${pixels(bottom)}" stroke="#dddddd"/>`;
    return [grid, text(left, bottom + 18, tickText(tick), 'text-anchor="middle"')];
  });
  return [...marks, text(area.left + area.width / 2, bottom + 40, label, 'text-anchor="middle"')];
}

function gridY({ label }: Axis, { ticks, at }: Scale): string[] {
  const marks = ticks.flatMap((tick) => {
    const top = area.top + (1 - at(tick)) * area.height;
    const grid = `<path d="M${pixels(area.left)} ${pixels(top)}h${pixels(area.width)}" stroke="#dddddd"/>`;
    return [grid, text(area.left - 8, top + 4, tickText(tick), 'text-anchor="end"')];
  });
  const middle = area.top + area.height / 2;
  return [
    ...marks,
    text(18, middle, label, `text-anchor="middle" transform="rotate(-90 18 ${pixels(middle)})"`),
  ];
}

function line({ points, isDashed }: Series, index: number, place: (point: Point) => Point): string[] {
  const places = points.map(place);
  const path = places.map(([left, top]) => `${pixels(left)},${pixels(top)}`).join(' ');
  const dots = isDashed === true || points.length > maxDots ? [] : places;
  return [
    `<polyline points="${path}" fill="none" ${stroke(index, isDashed)} stroke-linejoin="round"/>`,
    ...dots.map(
      ([left, top]) => `<circle cx="${pixels(left)}" cy="${pixels(top)}" r="3" fill="${colour(index)}"/>`,
    ),
  ];
}

function legend({ name, isDashed }: Series, index: number): string[] {
  const left = area.left + area.width + 16;
  const top = area.top + 8 + index * 20;
  return [
    `<path d="M${pixels(left)} ${pixels(top)}h20" ${stroke(index, isDashed)}/>`,
    text(left + 28, top + 4, name, ''),
  ];
}

function stroke(index: number, isDashed: boolean | undefined): string {
  const dashes = isDashed === true ? ' stroke-dasharray="5 4"' : '';
  return `stroke="${colour(index)}" stroke-width="1.8"${dashes}`;
}

function colour(index: number): string {
  return colours[index % colours.length] ?? colours[0];
}

function text(left: number, top: number, content: string, attributes: string): string {
  return `<text x="${pixels(left)}" y="${pixels(top)}" ${attributes}>${escaped(content)}</text>`;
}

/** To a tenth: what nobody sees would only make the file larger. */
function pixels(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
