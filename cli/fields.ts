import type { Call } from './call.ts';
import { longest } from './output/prefix.ts';
import { jsonLine, printable } from '../common/printable.ts';

/** One thing, field by field, or as one JSON object. Gives the exit code. */
export function showFields(call: Call, json: object, fields: readonly (readonly [string, string])[]): number {
  call.terminal.stdout(call.globals.output === 'json' ? `${jsonLine(json)}\n` : fieldLines(fields));
  return 0;
}

/** `name  value`, aligned, a line each. */
export function fieldLines(fields: readonly (readonly [string, string])[]): string {
  const width = longest(fields.map(([name]) => name));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${printable(value) || '-'}\n`).join('');
}
