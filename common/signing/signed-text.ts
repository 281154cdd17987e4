import { createHash } from 'node:crypto';

/*
 * What users' keys sign. The first line says what it is, so that no signature passes for another. Ids and names of hosts
 * hold no line end, and only the last field of each text could.
 */

/** A task: these bytes of an order, done once, under this id, for this stack of this host. */
export function taskText(order: Uint8Array, { task, host, stack }: SignedTarget): string {
  return `kompose task\n${sha256(order)}\n${task}\n${host}\n${stack}\n`;
}

export interface SignedTarget {
  readonly task: string;
  readonly host: string;
  readonly stack: string;
}

/** An entry of the roster. */
export function rosterText(body: string): string {
  return `kompose roster\n${body}\n`;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
