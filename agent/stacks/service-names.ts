import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isMap, isScalar, parseDocument } from 'yaml';

/** Reads the names of services from compose files and remembers them per file until its time or size changes. */
export class ServiceNames {
  readonly #known = new Map<string, { readonly stamp: string; readonly names: readonly string[] }>();

  /** Of the file alone, without what it includes; none if it cannot be read: compose will say what is wrong. */
  async read(folder: string, composeFile: string): Promise<readonly string[]> {
    const path = join(folder, composeFile);
    try {
      const { mtimeMs, ctimeMs, size, ino } = await stat(path);
      const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      const known = this.#known.get(path);
      if (known?.stamp === stamp) return known.names;
      const names = serviceNames(await readFile(path, 'utf8'));
      this.#known.set(path, { stamp, names });
      return names;
    } catch {
      return [];
    }
  }
}

/** The keys of `services`, in the file's order. */
function serviceNames(text: string): string[] {
  const services = parseDocument(text, { logLevel: 'silent' }).get('services');
  if (!isMap(services)) return [];
  return services.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : []));
}
