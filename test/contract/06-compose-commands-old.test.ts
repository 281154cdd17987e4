import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LocalRoot, type LocalOptions } from '../e2e/local-root.ts';
import { idleService, jsonLines, shows, until } from '../e2e/support.ts';
import { oldComposeFolder } from '../fleet/old-compose.ts';

/** Section 6 of the command contract, "where only the old `docker-compose` exists it is used". */

let here: LocalRoot;
let options: LocalOptions;
let version: string;

/** Without the plugins that the machine's client finds by itself. */
const withoutPlugins = `unshare --mount bash -c '
for folder in /usr/{local/,}lib{,exec}/docker/cli-plugins; do
  [[ ! -d $folder ]] || mount -t tmpfs none "$folder"
done
exec "$@"' bash`;

const kompose = (words: string) => here.bash(`exec ${withoutPlugins} $KOMPOSE ${words}`, options);

before(async () => {
  here = await LocalRoot.start();
  const folder = await oldComposeFolder();
  const { PATH = '' } = here.rig.host('here').env;
  const config = await mkdtemp(join(here.temp, 'docker-config-'));
  options = { env: { PATH: `${folder}:${PATH}`, DOCKER_CONFIG: config } };
  await here.write({
    'app/compose.yaml': idleService,
    'app/hooks.sh': 'hook_pre_up() { export TAG=of-hook; }\nhook_post_up() { echo "after $*"; }\n',
    'shop/compose.yaml':
      'services:\n  db:\n    image: postgres:15\n    environment: { POSTGRES_DB: "wa$$res" }\n',
  });
  version = (await here.bash('docker-compose version --short', options)).stdout.trim();
  assert.match(version, /^\d+\./);
});

after(() => here[Symbol.asyncDispose]());

describe('where only the old docker-compose exists', { timeout: 120_000 }, () => {
  test('there is no docker compose', async () => {
    const { exitCode } = await here.bash(`exec ${withoutPlugins} docker compose version`, options);
    assert.notEqual(exitCode, 0);
  });

  test('agent doctor says which, its version, and what to do', async () => {
    const { stdout } = await kompose('-o json agent doctor');
    const compose = jsonLines(stdout).find((line) => 'check' in line && line.check === 'compose');
    assert.deepEqual(compose, {
      check: 'compose',
      status: 'warn',
      text: `docker-compose, version ${version}, is the old one`,
      remedy: 'install the compose plugin for docker',
    });
  });

  test('it is what a dry run shows', async () => {
    const { stdout, exitCode } = await kompose('-n app up -d');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^.*action.* docker-compose up -d$/m);
  });

  test('hooks run around it, and it starts containers on the engine', async () => {
    const { stderr, exitCode } = await kompose('app up -d');
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /^after up -d$/m);
    assert.match(await here.rig.docker('here', ['ps', '--format', '{{.Names}}']), /^app[_-]api[_-]1$/);
  });

  test('exec and run give their bytes and codes', async () => {
    const exec = await kompose(`app exec -T api sh -c 'printf "\\001b"; exit 7'`);
    assert.deepEqual([exec.stdout, exec.exitCode], ['\x01b', 7]);
    const run = await kompose(`app run --rm -T api sh -c 'echo ran; exit 6'`);
    assert.deepEqual([run.stdout, run.exitCode], ['ran\n', 6]);
  });

  test('what exec and run began ends with a cancel', async () => {
    for (const words of ['exec', 'run --rm']) {
      const client = kompose(`app ${words} -T api sh -c 'echo begun; exec sleep 4321'`);
      await shows(client, 'stdout', 'begun');
      assert.match(await sleepers(), /sleep 4321/);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      await until('nothing is left inside', async () => (await sleepers()) === '');
    }
  });

  test('a database command finds the service that runs PostgreSQL', async () => {
    const { stdout, exitCode, stderr } = await kompose('-n shop db:export');
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /docker-compose exec -T .*db .*pg_dump.*wa\$res/);
  });
});

/** What sleeps in containers. */
async function sleepers(): Promise<string> {
  const ids = (await here.rig.docker('here', ['ps', '--quiet'])).split('\n').filter((id) => id !== '');
  const seen = ids.map((id) => here.rig.docker('here', ['top', id, '-eo', 'pid,args']).catch(() => ''));
  return (await Promise.all(seen))
    .join('\n')
    .split('\n')
    .filter((line) => line.includes('sleep 4321'))
    .join('\n');
}
