import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDocument } from 'yaml';

/**
 * The text of a compose file's top-level `name:`, before interpolation; undefined if it has none or is no YAML
 * (compose itself will then say what is wrong with it).
 */
export async function readProjectName(folder: string, composeFile: string): Promise<string | undefined> {
  const text = await readFile(join(folder, composeFile), 'utf8').catch(() => '');
  if (!/^\s*["'{]?\s*["']?name\b/m.test(text)) return undefined;
  const name: unknown = parseDocument(text, { logLevel: 'silent' }).get('name');
  return typeof name === 'string' ? name : undefined;
}
