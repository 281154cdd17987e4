import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import * as fc from 'fast-check';

const characters = 'abcXYZ019 !"#$%&()*+,-./:;<=>?@[]^_{|}~`äß€';
const line = fc
  .string({ unit: fc.constantFrom(...characters), minLength: 10, maxLength: 24 })
  // As in a file: no blanks at the ends, and enough that it stands nowhere by chance.
  .filter((text) => text.trim() === text && new Set(text).size > 5);

/** A value, of one line or of several. */
export const secretValue = fc.oneof(
  { weight: 4, arbitrary: line },
  { weight: 1, arbitrary: fc.array(line, { minLength: 2, maxLength: 3 }).map((lines) => lines.join('\n')) },
);

/** How a value may look in what a program writes; each text holds it, whole or each of its lines. */
export function encodedForms(value: string): string[] {
  const bytes = Buffer.from(value);
  const base64 = ['', 'a', 'bc'].map((before) =>
    Buffer.concat([Buffer.from(before), bytes, Buffer.from('yz')]),
  );
  const percent = encodeURIComponent(value);
  return [
    value,
    ...base64.flatMap((text) => [text.toString('base64'), text.toString('base64url')]),
    Buffer.from(value).toString('base64'),
    percent,
    percent.replaceAll(/%../g, (escape) => escape.toLowerCase()),
    percent.replaceAll('%20', '+'),
    new URLSearchParams({ value }).toString(),
    `postgres://app:${percent}@db:5432/app`,
    JSON.stringify(value),
  ];
}

/** Byte sequences of which none may be found: the value and its lines, in every form, less what neighbours decide. */
export function traces(value: string): string[] {
  return [value, ...value.split('\n')].flatMap((part) => {
    const bytes = Buffer.from(part);
    const percent = encodeURIComponent(part);
    const base64 = [0, 1, 2].map((before) => {
      const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
      return text.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + bytes.length)) / 6));
    });
    return [
      part,
      JSON.stringify(part).slice(1, -1),
      percent,
      percent.replaceAll(/%../g, (escape) => escape.toLowerCase()),
      percent.replaceAll('%20', '+'),
      ...base64,
      ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    ];
  });
}

/** Where any of these values stands: in which files below a folder, and in which of these texts, by their names. */
export async function findTraces(
  values: readonly string[],
  folder: string,
  texts: ReadonlyMap<string, string>,
): Promise<string[]> {
  const patterns = new Map(values.flatMap((value) => traces(value).map((trace) => [trace, value])));
  const found: string[] = [];
  const look = (where: string, bytes: Buffer): void => {
    for (const [trace, value] of patterns) {
      const at = bytes.indexOf(trace);
      if (at < 0) continue;
      const around = bytes.subarray(Math.max(0, at - 60), at + trace.length + 20).toString('latin1');
      const what = `${where}: ${JSON.stringify(value)} as`;
      if (found.some((known) => known.startsWith(what))) continue;
      found.push(
        `${where}: ${JSON.stringify(value)} as ${JSON.stringify(trace)} in ${JSON.stringify(around)}`,
      );
    }
  };
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    look(relative(folder, path), await readFile(path).catch(() => Buffer.alloc(0)));
  }
  for (const [name, text] of texts) look(name, Buffer.from(text));
  return found;
}
