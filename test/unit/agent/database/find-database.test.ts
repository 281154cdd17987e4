import { deepEqual, equal, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Database } from '../../../../agent/database/database.ts';
import { findDatabase, needsServices } from '../../../../agent/database/find-database.ts';
import { isPostgresImage, parseServices } from '../../../../agent/database/postgres-services.ts';

const compose = ['docker', 'compose'] as const;

function services(...named: readonly [name: string, image: string, environment?: object][]) {
  const all = Object.fromEntries(named.map(([name, image, environment]) => [name, { image, environment }]));
  return parseServices(JSON.stringify({ name: 'x', services: all }));
}

const one = services(['web', 'nginx:1'], ['db', 'postgres:16']);
const two = services(['db', 'postgres:16'], ['old', 'registry:5000/lib/postgis:12@sha256:ab']);
const named = services([
  'db',
  'postgres',
  { POSTGRES_DB: 'shop', POSTGRES_USER: 'app', POSTGRES_PASSWORD: 'a$$b' },
]);

function inContainer(name: string, user: string, service = 'db', password?: string): Database {
  return { name, user, at: { kind: 'container', service, compose, password } };
}

function overTcp(name: string, user: string, host: string, port = '5432'): Database {
  return { name, user, at: { kind: 'host', host, port } };
}

const found: readonly [
  title: string,
  env: Record<string, string>,
  services: ReturnType<typeof services>,
  database: Database | undefined,
][] = [
  ['the one postgres service', {}, one, inContainer('postgres', 'postgres')],
  ['its own variables', {}, named, inContainer('shop', 'app', 'db', 'a$b')],
  [
    'a user and no name',
    {},
    services(['db', 'postgres', { POSTGRES_USER: 'app' }]),
    inContainer('app', 'app'),
  ],
  [
    'DB_NAME and DB_USER before them',
    { DB_NAME: 'x', DB_USER: 'y' },
    named,
    inContainer('x', 'y', 'db', 'a$b'),
  ],
  ['DB_SERVICE, whatever its image', { DB_SERVICE: 'web' }, one, inContainer('postgres', 'postgres', 'web')],
  ['DB_SERVICE before DB_HOST', { DB_SERVICE: 'db', DB_HOST: 'h' }, one, inContainer('postgres', 'postgres')],
  ['DB_SERVICE among several', { DB_SERVICE: 'old' }, two, inContainer('postgres', 'postgres', 'old')],
  ['an empty DB_HOST as none', { DB_HOST: '', DB_NAME: 'x' }, one, inContainer('x', 'postgres')],
  ['DB_HOST', { DB_HOST: 'h', DB_PORT: '1', DB_NAME: 'x', DB_USER: 'u' }, one, overTcp('x', 'u', 'h', '1')],
  ['DB_HOST beside two services', { DB_HOST: 'h', DB_NAME: 'x' }, two, overTcp('x', 'postgres', 'h')],
  ['DB_NAME without a service', { DB_NAME: 'x' }, [], overTcp('x', 'postgres', 'localhost')],
  ['nothing', {}, services(['web', 'nginx']), undefined],
  ['nothing but DB_HOST', { DB_HOST: 'h' }, [], undefined],
];

describe('where the database is', () => {
  for (const [title, env, all, database] of found) {
    test(`goes by ${title}`, () => deepEqual(findDatabase(env, all, compose), database));
  }

  const refused: readonly [env: Record<string, string>, all: typeof one, reason: RegExp][] = [
    [{}, two, /the services db and old all run PostgreSQL: say which with DB_SERVICE/],
    [{ DB_NAME: 'x' }, two, /db and old/],
    [{ DB_SERVICE: 'pg' }, one, /no service pg \(it has: db, web;/],
    [{ DB_HOST: 'h' }, one, /DB_HOST is set but not DB_NAME/],
  ];
  for (const [env, all, reason] of refused) {
    test(`is refused with ${JSON.stringify(env)} and ${all.length} services`, () => {
      throws(() => findDatabase(env, all, compose), { code: 'failed', message: reason });
    });
  }

  test('needs the compose file only where the variables do not say it', () => {
    equal(needsServices({ DB_HOST: 'h', DB_NAME: 'x' }), false);
    for (const env of [
      {},
      { DB_NAME: 'x' },
      { DB_HOST: 'h' },
      { DB_HOST: 'h', DB_NAME: 'x', DB_SERVICE: 's' },
    ]) {
      equal(needsServices(env), true);
    }
  });
});

describe('a postgres image', () => {
  const images: readonly [image: string, isPostgres: boolean][] = [
    ['postgres', true],
    ['postgres:16-alpine', true],
    ['bitnami/postgresql:15', true],
    ['localhost:5000/my-postgres@sha256:abc', true],
    ['supabase/postgres:15', true],
    ['postgis/postgis:16-3.4', true],
    ['pgvector/pgvector:pg16', true],
    ['timescale/timescaledb:latest-pg16', true],
    ['postgres.example.org/web:1', false],
    ['postgres/exporter', false],
    ['nginx:postgres', false],
    ['timescale/timescaledb-ha', false],
  ];
  for (const [image, isPostgres] of images) {
    test(`${image} is ${isPostgres ? '' : 'not '}one`, () => equal(isPostgresImage(image), isPostgres));
  }
});
