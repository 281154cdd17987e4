import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The way to a string inside a message: the numbers of the fields on it, and a name for people. */
export interface StringField {
  readonly name: string;
  readonly numbers: readonly number[];
  /** It is a map: of its entries the keys, or the values, are strings. */
  readonly entry?: 1 | 2;
}

interface Field {
  readonly type: string;
  readonly name: string;
  readonly number: number;
}

const folder = join(import.meta.dirname, '../../proto/kompose/v1');
const messages = new Map<string, Field[]>();
const requests = new Map<string, string>();
for (const file of readdirSync(folder)) read(readFileSync(join(folder, file), 'utf8'));

/** The message that a method takes: `RunRequest` of `/kompose.v1.Fleet/StartRun`. */
export function requestOf(path: string): string {
  return requests.get(path.split('/').at(-1) ?? '') ?? '';
}

/** All strings in a message, also in those that it holds. */
export function stringFields(message: string): StringField[] {
  return (messages.get(message) ?? []).flatMap(({ type, name, number }): StringField[] => {
    const numbers = [number];
    if (type === 'string') return [{ name, numbers }];
    const [, key, value] = /^map<(\w+), (\w+)>$/.exec(type) ?? [];
    if (key !== undefined) {
      const values: StringField[] = value === 'string' ? [{ name: `${name} value`, numbers, entry: 2 }] : [];
      return [{ name: `${name} key`, numbers, entry: 1 }, ...values];
    }
    return stringFields(type).map((inner) => ({
      ...inner,
      name: `${name}.${inner.name}`,
      numbers: [number, ...inner.numbers],
    }));
  });
}

/**
 * Encoded with this field alone; put behind an encoded message, it takes the place of that one's, or joins it. `inside`
 * is what the message of a field that is one itself holds beside it.
 */
export function withString({ numbers, entry }: StringField, text: string, inside?: Uint8Array): Buffer {
  const value = Buffer.from(text);
  const leaf = entry === undefined ? value : Buffer.concat([named(1, 'k'), named(entry, text)]);
  return numbers.toReversed().reduce<Buffer>((inner, number, at) => {
    const isOutermost = at > 0 && at === numbers.length - 1 && inside !== undefined;
    return lengthDelimited(number, isOutermost ? Buffer.concat([inside, inner]) : inner);
  }, leaf);
}

function named(number: number, text: string): Buffer {
  return lengthDelimited(number, Buffer.from(text));
}

export function lengthDelimited(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** Messages here are not nested, and a field is a line. */
function read(text: string): void {
  let fields: Field[] = [];
  for (const line of text.split('\n')) {
    const [, message] = /^message (\w+) \{/.exec(line) ?? [];
    if (message !== undefined) messages.set(message, (fields = []));
    const [, method, request] = /^ {2}rpc (\w+)\((?:stream )?(\w+)\)/.exec(line) ?? [];
    if (method !== undefined && request !== undefined) requests.set(method, request);
    const [, type, name, number] =
      /^ +(?:repeated |optional )?(map<\w+, \w+>|\w+) (\w+) = (\d+);/.exec(line) ?? [];
    if (type !== undefined && name !== undefined) fields.push({ type, name, number: Number(number) });
  }
}
