import { isSecretName } from '../../common/redaction/secret-name.ts';
import { type Lookup, parseEnvFile } from './env-file.ts';

/** From which layer a variable comes, lowest first. */
export type EnvOrigin = 'agent' | 'root' | 'stack' | 'network' | 'cli';

type Variables = Readonly<Record<string, string | undefined>>;

/** The layers of section 4 of the command contract; a file that is not there is absent. */
export interface EnvLayers {
  /** As it is to be seen: `allowedAgentEnv` of the agent's own; in local mode the caller's whole environment. */
  readonly agentEnv: Variables;
  readonly rootEnvText?: string | undefined;
  /** What errors call the root `.env`. */
  readonly rootEnvFile?: string | undefined;
  readonly stackEnvText?: string | undefined;
  /** What errors call the stack's `.env`. */
  readonly stackEnvFile?: string | undefined;
  /** Of `--network`; sets NETWORK_NAME. */
  readonly network?: string | undefined;
  /** Of `-e`. */
  readonly cliEnv: Variables;
  /** Told each value of a secret variable as soon as it is known, those too that a higher layer hides. */
  readonly learnSecret?: (value: string) => void;
}

/** Both records have the same names and no prototype. */
export interface LayeredEnv {
  readonly env: Record<string, string>;
  readonly origin: Record<string, EnvOrigin>;
}

const allowedNames = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'TZ',
  'TMPDIR',
  'TERM',
  'SSH_AUTH_SOCK',
]);
const allowedPatterns = /^(?:LC_|DOCKER_)|_(?:PROXY|proxy)$/;

/** What of the agent's own environment its steps may see. */
export function allowedAgentEnv(env: Variables): Record<string, string> {
  const allowed = bareRecord<string>();
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (allowedNames.has(name) || allowedPatterns.test(name)) allowed[name] = value;
  }
  return allowed;
}

/**
 * The environment of a step before SCRIPT_DIR, stack and the like are added. Throws `failed` for a file that
 * cannot be read.
 */
export function layerEnv(layers: EnvLayers): LayeredEnv {
  const env = bareRecord<string>();
  const origin = bareRecord<EnvOrigin>();
  const learn = (name: string, value: string): void => {
    if (isSecretName(name)) layers.learnSecret?.(value);
  };
  const add = (from: EnvOrigin, variables: Iterable<readonly [string, string | undefined]>): void => {
    for (const [name, value] of variables) {
      if (value === undefined) continue;
      env[name] = value;
      origin[name] = from;
      learn(name, value);
    }
  };
  const networkEnv: Variables = layers.network === undefined ? {} : { NETWORK_NAME: layers.network };
  const lookups = {
    wins: lookupIn(layers.cliEnv, networkEnv),
    falls: lookupIn(env),
    seen: learn,
  };
  add('agent', Object.entries(layers.agentEnv));
  add('root', parseEnvFile(layers.rootEnvText ?? '', lookups, layers.rootEnvFile ?? 'root .env'));
  add('stack', parseEnvFile(layers.stackEnvText ?? '', lookups, layers.stackEnvFile ?? '.env'));
  add('network', Object.entries(networkEnv));
  add('cli', Object.entries(layers.cliEnv));
  return { env, origin };
}

function lookupIn(...records: readonly Variables[]): Lookup {
  return (name) =>
    records.find((record) => Object.hasOwn(record, name) && record[name] !== undefined)?.[name];
}

/** Without a prototype no name is taken already, `__proto__` neither. */
function bareRecord<Value>(): Record<string, Value> {
  const record: Record<string, Value> = {};
  Object.setPrototypeOf(record, null);
  return record;
}
