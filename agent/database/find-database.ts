import { KomposeError } from '../../common/errors.ts';
import type { Database } from './database.ts';
import type { ComposeService } from './postgres-services.ts';

export type Variables = Readonly<Record<string, string>>;

/** Whether the services of the compose file say anything that the variables do not. */
export function needsServices(env: Variables): boolean {
  return set(env, 'DB_SERVICE') !== undefined || !(set(env, 'DB_HOST') && set(env, 'DB_NAME'));
}

/**
 * Which database a stack's commands are for (section 7 of the command contract); undefined if it has none. Pure.
 * Empty variables count as unset. Throws `failed` where it cannot be told, with what to set.
 */
export function findDatabase(
  env: Variables,
  services: readonly ComposeService[],
  compose: readonly [string, ...string[]],
): Database | undefined {
  const name = set(env, 'DB_NAME');
  const host = set(env, 'DB_HOST');
  const postgres = services.filter((service) => service.isPostgres);
  const service = chosenService(env, services, postgres);
  if (service !== undefined) return inContainer(env, service, compose);
  if (name === undefined && postgres.length === 0) return undefined;
  if (name === undefined) throw failed('DB_HOST is set but not DB_NAME: set both, or DB_SERVICE');
  const user = set(env, 'DB_USER') ?? 'postgres';
  return { name, user, at: { kind: 'host', host: host ?? 'localhost', port: set(env, 'DB_PORT') ?? '5432' } };
}

function chosenService(
  env: Variables,
  services: readonly ComposeService[],
  postgres: readonly ComposeService[],
): ComposeService | undefined {
  const wanted = set(env, 'DB_SERVICE');
  if (wanted !== undefined) {
    const service = services.find(({ name }) => name === wanted);
    if (service === undefined) throw failed(`DB_SERVICE: ${noService(wanted, services)}`);
    return service;
  }
  if (set(env, 'DB_HOST') !== undefined) return undefined;
  if (postgres.length < 2) return postgres[0];
  const names = postgres.map(({ name }) => name).join(' and ');
  throw failed(`the services ${names} all run PostgreSQL: say which with DB_SERVICE, or set DB_HOST`);
}

function noService(wanted: string, services: readonly ComposeService[]): string {
  const names = services.map(({ name }) => name).join(', ');
  return `the compose file has no service ${wanted} (it has: ${names}; a profile may hide others)`;
}

function inContainer(
  env: Variables,
  { name: service, environment }: ComposeService,
  compose: readonly [string, ...string[]],
): Database {
  const own = (variable: string): string | undefined => set(environment, variable);
  return {
    name: set(env, 'DB_NAME') ?? own('POSTGRES_DB') ?? own('POSTGRES_USER') ?? 'postgres',
    user: set(env, 'DB_USER') ?? own('POSTGRES_USER') ?? 'postgres',
    at: { kind: 'container', service, compose, password: own('POSTGRES_PASSWORD') },
  };
}

function set(env: Variables, name: string): string | undefined {
  return env[name] === '' ? undefined : env[name];
}

function failed(message: string): KomposeError {
  return new KomposeError('failed', message);
}
