import { readFileSync } from 'node:fs';
import type { Identity } from '../../../proto/enrol.ts';

/** What each program of the prototype reads from the file that its first argument names. */
export interface Settings {
  /** HOST:PORT of the controller. */
  readonly address: string;
  /** Of this program; an agent's process has one for each of its hosts. */
  readonly identities: readonly { readonly name: string; readonly identity: Identity }[];
}

export function readSettings(): Settings {
  return JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Settings;
}
