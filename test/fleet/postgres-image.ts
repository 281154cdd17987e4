import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { exists } from './exists.ts';
import { buildImage, type Image } from './images.ts';
import { ensureParts } from './install.ts';
import { run } from './run.ts';

const version = '15';
const home = `/usr/lib/postgresql/${version}`;
const share = `/usr/share/postgresql/${version}`;
/** The client itself: Debian's `psql` is a Perl script before it, which takes longer than a query. */
export const psqlProgram = join(home, 'bin/psql');
const server = { package: `postgresql-${version}`, isThere: () => exists(join(home, 'bin/postgres')) };
/** Need a language or LLVM that the image does not have. Without llvmjit the server does not compile queries. */
const leftOut = /^(llvmjit|plperl|plpython|pltcl|hstore_pl|jsonb_pl|ltree_pl|bool_pl)/;

/**
 * `postgres:15`, of the machine's own PostgreSQL, with the variables of the official image: POSTGRES_USER,
 * POSTGRES_PASSWORD, POSTGRES_DB, PGDATA. For tests: fsync is off. Made when first asked for (107 MB).
 */
export async function postgresImage(): Promise<Image> {
  await ensureParts([server]);
  return buildImage({
    tag: `postgres:${version}`,
    layers: [await postgresLayer()],
    files: {
      '/usr/local/bin/docker-entrypoint.sh': { content: entrypoint, mode: 0o755 },
      '/etc/passwd': {
        content: `root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n`,
      },
      '/etc/group': { content: 'root:x:0:\npostgres:x:999:\n' },
    },
    env: {
      PATH: `/usr/local/bin:${home}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      PGDATA: '/var/lib/postgresql/data',
      LANG: 'C.UTF-8',
    },
    entrypoint: ['docker-entrypoint.sh'],
    cmd: ['postgres'],
    stopSignal: 'SIGINT',
    volumes: ['/var/lib/postgresql/data'],
  });
}

async function postgresLayer(): Promise<string> {
  const { stdout } = await run(join(home, 'bin/postgres'), ['--version']);
  const key = stdout.replaceAll(/[^\w.+]+/g, '-');
  return cached(`layers/${key}.tar`, async (scratch) => {
    const files = await serverFiles();
    await writeFile(`${scratch}-list`, files.map((path) => path.slice(1)).join('\n'));
    // --dereference: a library is stored under the name that the loader asks for
    const how = [
      '--dereference',
      '--hard-dereference',
      '--no-recursion',
      '--owner=0',
      '--group=0',
      '-C',
      '/',
    ];
    await run('tar', [...how, '-cf', scratch, '-T', `${scratch}-list`]);
  });
}

async function serverFiles(): Promise<string[]> {
  const programs = await filesBelow(join(home, 'bin'));
  const modules = (await filesBelow(join(home, 'lib'))).filter(
    (path) =>
      !path.includes('/bitcode/') &&
      !path.includes('/pgxs/') &&
      !leftOut.test(path.slice(join(home, 'lib/').length)),
  );
  const data = [...(await filesBelow(share)), ...(await filesBelow('/usr/share/zoneinfo'))];
  const locale = await filesBelow('/usr/lib/locale/C.utf8').catch(() => []);
  const libraries = await librariesOf([...programs, ...modules.filter((path) => path.endsWith('.so'))]);
  return [...new Set([...programs, ...modules, ...data, ...locale, ...libraries])];
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

/** The libraries and the loader that `ldd` names: "libz.so.1 => /lib/…/libz.so.1 (0x…)", "/lib64/ld-… (0x…)". */
async function librariesOf(programs: readonly string[]): Promise<string[]> {
  const isElf = await Promise.all(programs.map(startsLikeElf));
  const { stdout } = await run(
    'ldd',
    programs.filter((_, index) => isElf[index]),
    { lines: true, reject: false },
  );
  return stdout.flatMap((line) => /^\s+(?:\S+ => )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

async function startsLikeElf(path: string): Promise<boolean> {
  return (await readFile(path)).subarray(1, 4).toString() === 'ELF';
}

const entrypoint = `#!/bin/sh
# First start: a new cluster with the user, password and database asked for. Then the command, as user postgres.
set -e
as_postgres() { su -s /bin/sh postgres -c 'exec "$0" "$@"' -- "$@"; }
: "\${POSTGRES_USER:=postgres}" "\${POSTGRES_DB:=$POSTGRES_USER}"
mkdir -p "$PGDATA" /var/run/postgresql
chown -R postgres:postgres /var/lib/postgresql "$PGDATA" /var/run/postgresql
chmod 700 "$PGDATA"
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo 'POSTGRES_PASSWORD is not set' >&2
    exit 1
  fi
  printf '%s\\n' "$POSTGRES_PASSWORD" > /tmp/password
  chown postgres /tmp/password
  as_postgres initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --no-sync > /dev/null
  rm /tmp/password
  echo "host all all all \${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'
fsync = off" >> "$PGDATA/postgresql.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | as_postgres postgres --single -D "$PGDATA" postgres > /dev/null
  fi
fi
[ "$1" = postgres ] || exec "$@"
exec su -s /bin/sh postgres -c 'exec "$0" "$@"' -- "$@"
`;
