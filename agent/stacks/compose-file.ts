import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isMap, isScalar, parseDocument } from 'yaml';

/** What a compose file says by itself, without what it includes. */
export interface ComposeFacts {
  /** The text of its top-level `name:`, before interpolation. */
  readonly projectName: string | undefined;
  /** The keys of `services`, in the file's order. */
  readonly services: readonly string[];
}

const noFacts: ComposeFacts = { projectName: undefined, services: [] };

/** Reads one once; never throws: of a file that cannot be read or is no YAML compose itself will say what is wrong. */
export async function readComposeFile(folder: string, composeFile: string): Promise<ComposeFacts> {
  return new ComposeFiles().read(folder, composeFile);
}

/** So old is a file's last change at least that the next one has another time, wherever it is. */
const settledMs = 2_000;

/** Reads compose files, and remembers each until its time or size changes. */
export class ComposeFiles {
  readonly #known = new Map<string, { readonly stamp: string; readonly facts: ComposeFacts }>();

  /** Never throws; see `readComposeFile`. */
  async read(folder: string, composeFile: string): Promise<ComposeFacts> {
    const path = join(folder, composeFile);
    try {
      const { mtimeMs, ctimeMs, size, ino } = await stat(path);
      const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      const known = this.#known.get(path);
      if (known?.stamp === stamp) return known.facts;
      const facts = factsOf(await readFile(path, 'utf8'));
      if (Date.now() - ctimeMs > settledMs) this.#known.set(path, { stamp, facts });
      return facts;
    } catch {
      return noFacts;
    }
  }
}

function factsOf(text: string): ComposeFacts {
  const document = parseDocument(text, { logLevel: 'silent' });
  const name: unknown = document.get('name');
  const services = document.get('services');
  return {
    projectName: typeof name === 'string' ? name : undefined,
    services: isMap(services)
      ? services.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : []))
      : [],
  };
}
