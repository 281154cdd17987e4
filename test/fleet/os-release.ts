import { readFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';

/** The distribution this machine runs, as /etc/os-release names it: `{ id: 'debian', version: 12 }`. */
export interface Distribution {
  id: string;
  version: number;
}

/** Reads /etc/os-release. A machine without one is `{ id: 'unknown', version: 0 }`. */
export async function readDistribution(): Promise<Distribution> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const fields = parseEnv(text);
  return { id: fields['ID'] ?? 'unknown', version: Number.parseFloat(fields['VERSION_ID'] ?? '0') };
}
