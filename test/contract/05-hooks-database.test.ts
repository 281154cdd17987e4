import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { buildImage } from '../fleet/images.ts';
import { postgresImage } from '../fleet/postgres-image.ts';
import {
  containers,
  dockerLines,
  endFleet,
  idleService,
  outputOf,
  readStackFile,
  runJson,
  startFleet,
  until,
  writeStacks,
} from '../e2e/support.ts';

/*
 * Hooks of database commands: their arguments (section 5 of the command contract), the hooks page's Example 1, and its
 * section "Testing Hooks" as somebody types it. On a real PostgreSQL; `npx directus` is a small program in the place
 * of Directus.
 */
const page = new URL('../fixtures/hooks-page/', import.meta.url);
const block = (name: string): Promise<string> => readFile(new URL(`${name}.sh`, page), 'utf8');

const npx = `#!/bin/sh
echo "$@" >>called
case "$1 $2 $3" in
  "directus schema snapshot") echo "version: 1" >"$4" ;;
  "directus schema apply") test -r "$4" ;;
  *) exit 1 ;;
esac
`;
const host = 'prod-1';
const fleet = await startFleet([host], {
  images: [
    await postgresImage(),
    await buildImage({ tag: 'directus:local', files: { '/usr/bin/npx': { content: npx, mode: 0o755 } } }),
  ],
});
after(() => endFleet(fleet));

const postgres = `
services:
  db:
    image: postgres:15
    network_mode: none
    environment: { POSTGRES_PASSWORD: s3cret pass, POSTGRES_DB: app }
`;
const directus = `${postgres}
  api:
    image: directus:local
    container_name: sexy_api
    working_dir: /directus
    volumes: [".:/directus"]
    network_mode: none
`;
const build = `${idleService}  app:\n    build: .\n    network_mode: none\n`;
const steps = ['pre', 'post', 'fail'];
const telling = ['db_export', 'db_import', 'db_cleanup']
  .flatMap((command) => steps.map((step) => `hook_${step}_${command}`))
  .map((name) => `${name}() { echo "told: ${name}($*)"; [[ \${FAIL-} != ${name} ]]; }\n`)
  .join('');

before(async () => {
  await writeStacks(fleet, {
    [`${host}:sexy`]: { 'compose.yaml': directus, 'hooks.sh': await block('directus-schema') },
    [`${host}:args`]: { 'compose.yaml': postgres, 'hooks.sh': telling },
    [`${host}:news`]: { 'hooks.sh': 'hook_post_restart() { echo "news: $*"; }\n' },
    [`${host}:blog`]: {
      'compose.yaml': build,
      Dockerfile: 'FROM busybox:local\n',
      'hooks.sh': 'hook_post_build() { echo "blog: $*"; }\n',
    },
  });
  const { exitCode, stderr } = await fleet.kompose(['{sexy,args,news}', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
  for (const stack of ['sexy', 'args']) {
    const answers = async (): Promise<boolean> => (await sql(stack, 'SELECT 1').catch(() => '')) === '1';
    await until(`the server of ${stack} answers`, answers, 90_000);
  }
});

async function sql(stack: string, statement: string): Promise<string> {
  const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', 'app', '-c', statement];
  return (await fleet.rig.docker(host, ['exec', `${stack}-db-1`, ...psql])).trim();
}

const folder = (stack: string): string => join(fleet.stacks(host), stack);

async function files(stack: string, ending: string): Promise<string[]> {
  return (await readdir(folder(stack))).filter((name) => name.endsWith(ending)).toSorted();
}

/** What the hooks of stack `args` were told, by step. */
async function told(words: readonly string[], options: readonly string[] = []): Promise<string[]> {
  const { events } = await runJson(fleet, [...options, 'args', ...words]);
  return steps.flatMap((step) => /^told: hook_(.*)$/m.exec(outputOf(events, step))?.[1] ?? []);
}

describe('the arguments of a database hook', { timeout: 120_000 }, () => {
  let dump = '';

  it('hook_pre_db_export: none; hook_post_db_export: $1 is the dump’s absolute path', async () => {
    const calls = await told(['db:export']);
    [dump = ''] = (await files('args', '.sql')).map((file) => join(folder('args'), file));
    assert.deepEqual(calls, ['pre_db_export()', `post_db_export(${dump})`]);
  });

  it('hook_pre_db_import and hook_post_db_import: $1 is the dump’s absolute path', async () => {
    assert.deepEqual(await told(['db:import']), [`pre_db_import(${dump})`, `post_db_import(${dump})`]);
  });

  it('hook_pre_db_cleanup: none; hook_post_db_cleanup: the removed paths', async () => {
    assert.deepEqual(await told(['db:cleanup', '--keep', '0']), [
      'pre_db_cleanup()',
      `post_db_cleanup(${dump})`,
    ]);
  });

  it('hook_fail_*: as the post hook would have got', async () => {
    const failing = await told(['db:export'], ['-e', 'FAIL=hook_pre_db_export']);
    assert.equal(failing[0], 'pre_db_export()');
    const path = String.raw`${folder('args')}/app_\d{8}_\d{6}\.sql`;
    assert.match(failing[1] ?? '', new RegExp(String.raw`^fail_db_export\(${path}\)$`));
    await told(['db:export']);
    const [kept = ''] = await files('args', '.sql');
    const imported = await told(['db:import', kept], ['-e', 'FAIL=hook_pre_db_import']);
    assert.deepEqual(imported, [
      `pre_db_import(${folder('args')}/${kept})`,
      `fail_db_import(${folder('args')}/${kept})`,
    ]);
  });
});

/** A line that somebody types in the stacks root. */
async function typed(line: string): Promise<string> {
  const { exitCode, all } = await execa('bash', ['-c', line], {
    cwd: fleet.stacks(host),
    env: { KOMPOSE_TASK_ID: undefined },
    reject: false,
    all: true,
    stdin: 'ignore',
  });
  assert.equal(exitCode, 0, all);
  return all;
}

function startedAt(container: string): Promise<string[]> {
  return dockerLines(fleet, host, 'inspect', '--format', '{{.State.StartedAt}}', container);
}

describe('Example 1: Directus Schema Management', { timeout: 120_000 }, () => {
  let snapshot = '';

  it('takes a snapshot of the schema before the dump', async () => {
    await sql('sexy', 'CREATE TABLE wares(name text)');
    await sql('sexy', "INSERT INTO wares VALUES ('as dumped')");
    const { events, steps: ended } = await runJson(fleet, ['sexy', 'db:export']);
    assert.deepEqual(ended, ['pre succeeded', 'action succeeded']);
    const said = outputOf(events, 'pre');
    [, snapshot = ''] =
      /^ Exporting Directus schema snapshot\.\.\.\n Schema snapshot saved: (directus_schema_\d{8}_\d{6}\.yaml)\n$/.exec(
        said,
      ) ?? [];
    assert.deepEqual(await files('sexy', '.yaml'), ['compose.yaml', snapshot].toSorted(), said);
    assert.match((await files('sexy', '.sql')).join(' '), /^app_\d{8}_\d{6}\.sql$/);
  });

  it('applies the newest snapshot before an import, and restarts Directus after it', async () => {
    await sql('sexy', "UPDATE wares SET name = 'changed'");
    const earlier = await startedAt('sexy_api');
    const { events, steps: ended } = await runJson(fleet, ['sexy', 'db:import']);
    assert.deepEqual(ended, ['pre succeeded', 'action succeeded', 'post succeeded']);
    assert.equal(
      outputOf(events, 'pre'),
      ` Applying Directus schema from: ${snapshot}\n Schema applied successfully\n`,
    );
    assert.equal(outputOf(events, 'post'), ' Restarting Directus to apply changes...\n');
    assert.notDeepEqual(await startedAt('sexy_api'), earlier);
    assert.equal(await sql('sexy', 'SELECT name FROM wares'), 'as dumped');
    const called = await readStackFile(fleet, host, 'sexy', 'called');
    assert.equal(called, `directus schema snapshot ${snapshot}\ndirectus schema apply ${snapshot}\n`);
  });

  it('imports without a snapshot to apply', async () => {
    await rm(join(folder('sexy'), snapshot));
    const { events, exitCode } = await runJson(fleet, ['sexy', 'db:import']);
    assert.deepEqual([exitCode, outputOf(events, 'pre')], [0, ' No schema snapshot found, skipping\n']);
  });

  it('exports with a warning where the container is not there', async () => {
    await dockerLines(fleet, host, 'rm', '--force', 'sexy_api');
    const { events, exitCode } = await runJson(fleet, ['sexy', 'db:export']);
    assert.equal(exitCode, 0);
    assert.match(outputOf(events, 'pre'), /^ Warning: Could not export schema snapshot$/m);
  });
});

describe('Testing Hooks', { timeout: 120_000 }, async () => {
  /** What each line of the page's section does, in its order. */
  const checks: readonly ((said: string) => void | Promise<void>)[] = [
    (said) => assert.match(said, /pre +hook_pre_db_export\n +action +.*pg_dump/),
    (said) => assert.match(said, /action +docker compose up -d/),
    (said) => assert.match(said, /Exporting Directus schema snapshot\.\.\.[^]*app_\d{8}_\d{6}\.sql/),
    async () => assert((await containers(fleet, host)).includes('sexy_api')),
    (said) => assert.match(said, /^news: restart$/m),
    (said) => assert.match(said, /^blog: build$/m),
    async () => assert.deepEqual(await containers(fleet, host), []),
  ];
  const lines = (await block('testing-hooks')).split('\n').filter((line) => line.startsWith('./kompose.sh'));
  assert.equal(lines.length, checks.length);
  for (const [at, line] of lines.entries()) {
    it(line, async () => {
      const dumps = await files('sexy', '.sql');
      await checks[at]?.(await typed(line));
      if (line.endsWith('--dry-run')) assert.deepEqual(await files('sexy', '.sql'), dumps);
    });
  }
});
