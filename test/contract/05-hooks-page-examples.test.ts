import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { buildImage } from '../fleet/images.ts';
import {
  dockerLines,
  endFleet,
  idleService,
  readStackFile,
  startFleet,
  writeStacks,
} from '../e2e/support.ts';

/*
 * The hooks page's examples as they stand there; the first, on a database, is in 05-hooks-database. Real containers bear the names that they expect; `curl`
 * and `sleep` are stand-ins, first on the PATH of the stack's .env: the one reaches stub endpoints, the other takes
 * no time.
 */
const page = fileURLToPath(new URL('../fixtures/hooks-page', import.meta.url));
const example = (name: string): Promise<string> => readFile(join(page, `${name}.sh`), 'utf8');

const redisCli = '#!/bin/sh\necho "$@" >>/called\necho OK\n';
const program = (content: string) => ({ content, mode: 0o755 });
const fleet = await startFleet(['prod-1'], {
  images: [
    await buildImage({
      tag: 'app:local',
      files: { '/usr/bin/redis-cli': program(redisCli), '/www/api/cache/warm': { content: 'warm\n' } },
      cmd: ['httpd', '-f', '-vv', '-p', '80', '-h', '/www'],
    }),
  ],
});
after(() => endFleet(fleet));

const folder = (stack: string): string => join(fleet.stacks('prod-1'), stack);
const standIns = (more = ''): string => `PATH=${join(page, 'bin')}:$PATH\n${more}`;

/** Runs a command on the stack to its success and gives what its hooks said. */
async function run(...words: readonly string[]): Promise<string> {
  const { exitCode, stderr } = await fleet.kompose(words);
  assert.equal(exitCode, 0, stderr);
  return stderr;
}

function startedAt(container: string): Promise<string[]> {
  return dockerLines(fleet, 'prod-1', 'inspect', '--format', '{{.State.StartedAt}}', container);
}

describe('Creating Hooks', { timeout: 60_000 }, () => {
  it('checks before up and after it, and saves before down', async () => {
    await writeStacks(fleet, {
      'prod-1:first': {
        'compose.yaml': `${idleService}    healthcheck: { test: ["CMD", "true"], interval: 1s }\n`,
        'hooks.sh': await example('creating-hooks'),
        'backup.sh': '#!/bin/sh\ndocker compose ps --services >backed-up\n',
        '.env': standIns(),
      },
    });
    const up = await run('first', 'up', '-d', '--wait');
    assert.match(up, /^ Running pre-flight checks\.\.\.\n Creating uploads directory\.\.\.$/m);
    assert.match(up, /^ Waiting for services to be healthy\.\.\.\n ✓ Services are healthy$/m);
    assert((await stat(join(folder('first'), 'uploads'))).isDirectory());
    assert.match(await run('first', 'restart'), /^ Restarting dependent services\.\.\.$/m);
    assert.match(await run('first', 'down'), /^ Creating backup before shutdown\.\.\.$/m);
    assert.equal(await readStackFile(fleet, 'prod-1', 'first', 'backed-up'), 'api\n');
    assert.equal(await readStackFile(fleet, 'prod-1', 'first', 'slept'), '5\n');
  });
});

describe('Example 2: Health Monitoring', { timeout: 60_000 }, () => {
  const received: string[] = [];
  const endpoint = createServer(async (request, response) => {
    const { method, url, headers } = request;
    received.push(`${method} ${headers.host}${url} ${headers['content-type']} ${await text(request)}`);
    response.end('ok\n');
  });
  before(async () => {
    await once(endpoint.listen(0, fleet.rig.controllerAddress), 'listening');
  });
  after(() => endpoint.close());

  it('tells the monitoring of up and of down', async () => {
    const address = endpoint.address();
    assert(typeof address === 'object' && address !== null);
    await writeStacks(fleet, {
      'prod-1:health': {
        'hooks.sh': await example('health-monitoring'),
        '.env': standIns(`MONITORING=${address.address}:${address.port}\n`),
      },
    });
    assert.match(await run('health', 'up', '-d'), /^ Notifying monitoring system\.\.\.$/m);
    assert.match(await run('health', 'down'), /^ Sending shutdown notification\.\.\.$/m);
    const webhook = 'POST monitoring.example.com/webhook application/json';
    assert.deepEqual(received, [
      `${webhook} {"stack": "health", "status": "up"}`,
      `${webhook} {"stack": "health", "status": "down"}`,
    ]);
  });
});

describe('Example 3: Automated Backups', { timeout: 60_000 }, () => {
  it('packs the volume before a build, and tags the image after it', async () => {
    await writeStacks(fleet, {
      'prod-1:backups': {
        // The hook knows the image by the name that Compose v1 would give it.
        'compose.yaml': `${idleService}  app:\n    image: \${COMPOSE_PROJECT_NAME}_app\n    build: .\n`,
        Dockerfile: 'FROM busybox:local\nRUN touch /built\n',
        'hooks.sh': await example('automated-backups'),
      },
    });
    const keep = [
      'run',
      '--rm',
      '--volume',
      'app_data:/data',
      'busybox:local',
      'sh',
      '-c',
      'echo kept >/data/file',
    ];
    await dockerLines(fleet, 'prod-1', ...keep);
    const said = await run('backups', 'build');
    assert.match(said, /^ Backing up volumes before rebuild\.\.\.$/m);
    const [, backup = ''] = /^ Backup saved to: (\.\/backups\/\d{8}_\d{6})$/m.exec(said) ?? [];
    const packed = join(folder('backups'), backup, 'data.tar.gz');
    const { stdout } = await execa('tar', ['-xzOf', packed, './file']);
    assert.equal(stdout, 'kept');
    assert.match(said, /^ Tagging and pushing image\.\.\.$/m);
    const images = await dockerLines(fleet, 'prod-1', 'images', '--format', '{{.Tag}}', 'backups_app');
    assert.match(images.toSorted().join(' '), /^\d{8}-\d{6} latest$/);
    assert.match(said, /^The push refers to repository \[docker\.io\/library\/backups_app\]$/m);
  });
});

describe('Example 4: Cache Warming', { timeout: 60_000 }, () => {
  it('warms the caches after up, and clears them before a restart', async () => {
    await writeStacks(fleet, {
      'prod-1:cache': {
        'compose.yaml':
          'services:\n  app:\n    image: app:local\n    container_name: app_container\n    ports: ["3000:80"]\n',
        'hooks.sh': await example('cache-warming'),
        '.env': standIns(),
      },
    });
    assert.match(await run('cache', 'up', '-d'), /^ Warming application caches\.\.\.$/m);
    assert.equal(await readStackFile(fleet, 'prod-1', 'cache', 'slept'), '10\n');
    const { stdout: log } = await fleet.kompose(['cache', 'logs', 'app']);
    assert.match(log, /url:\/api\/cache\/warm/);
    const earlier = await startedAt('app_container');
    assert.match(await run('cache', 'restart'), /^ Clearing application caches\.\.\.\nOK$/m);
    assert.deepEqual(await dockerLines(fleet, 'prod-1', 'exec', 'app_container', 'cat', '/called'), [
      'FLUSHALL',
    ]);
    assert.notDeepEqual(await startedAt('app_container'), earlier);
  });
});
