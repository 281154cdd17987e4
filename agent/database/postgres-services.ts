import { parse as parseYaml } from 'yaml';
import { KomposeError } from '../../common/errors.ts';
import { capture } from '../process/capture.ts';

/** A service of a compose file. */
export interface ComposeService {
  readonly name: string;
  readonly isPostgres: boolean;
  /** As the container will see it, where compose knows it. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Asks compose itself, so that overrides, profiles, `extends` and variables count. Throws `failed`. */
export async function readServices(
  compose: readonly [string, ...string[]],
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<ComposeService[]> {
  const isOld = compose.length === 1; // It has no --format, and writes YAML.
  const asked = isOld ? ['config'] : ['config', '--format', 'json'];
  const { exitCode, stdout, stderr } = await capture([...compose, ...asked], { env, cwd: folder });
  if (exitCode !== 0) {
    const [why = `exit code ${exitCode}`] = stderr
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-1);
    throw new KomposeError('failed', `docker compose config: ${why}`);
  }
  return parseServices(stdout);
}

/** Of the output of `docker compose config`, JSON or YAML. Throws `failed`. */
export function parseServices(text: string): ComposeService[] {
  const services = fieldsOf(fieldsOf(parse(text))['services']);
  return Object.entries(services)
    .map(([name, service]) => {
      const { image, environment } = fieldsOf(service);
      const isPostgres = typeof image === 'string' && isPostgresImage(image);
      return { name, isPostgres, environment: variablesOf(environment) };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const otherNames = new Set(['postgis', 'pgvector', 'timescaledb']);

/** Section 7 of the command contract: by the last part of the path, without tag and digest. */
export function isPostgresImage(image: string): boolean {
  const name = image.replace(/@.*$/s, '').split('/').at(-1)?.split(':')[0] ?? '';
  return name.includes('postgres') || otherNames.has(name);
}

function parse(text: string): unknown {
  try {
    return text.startsWith('{') ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw new KomposeError('failed', 'docker compose config printed neither JSON nor YAML', { cause: error });
  }
}

/** Compose writes a `$` as `$$`, so that its output can be read as a compose file again. */
function variablesOf(environment: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fieldsOf(environment)).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number'
        ? [[name, String(value).replaceAll('$$', '$')]]
        : [],
    ),
  );
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
