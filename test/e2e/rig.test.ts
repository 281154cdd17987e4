import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setInterval } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { FleetHost, Rig } from '../fleet/fleet.ts';
import { buildImage, httpImage } from '../fleet/images.ts';
import { readState, rigFolders } from '../fleet/rig-state.ts';
import { startRig } from '../fleet/rig.ts';

/** Starts a rig, prints its mark, and waits for ever. */
const fixture = fileURLToPath(new URL('../fleet/rig-owner.ts', import.meta.url));

describe('the rig', { timeout: 300_000 }, () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ hosts: ['prod-1', 'prod-2', 'staging-1'], report: (line) => console.log(line) });
  });
  after(() => rig.stop());

  it('has an engine of its own on each host', async () => {
    const ids = await onEach(rig, ['info', '--format', '{{.ID}}']);
    assert.equal(new Set(ids).size, 3);
  });

  it('shows a container on the host it was started on, and on no other', async () => {
    await rig.docker('prod-1', ['run', '--detach', '--name', 'lonely', 'alpine']);
    assert.deepEqual(await onEach(rig, ['ps', '--format', '{{.Names}}']), ['lonely', '', '']);
    await rig.docker('prod-1', ['rm', '--force', 'lonely']);
  });

  it('has Compose v2 on each host', async () => {
    const versions = await onEach(rig, ['compose', 'version', '--short']);
    for (const version of versions) assert.match(version, /^v?[2-9]\./);
  });

  it('packs a volume with alpine, as the backup hook does', async () => {
    const { folder } = rig.host('prod-1');
    const volumes = ['-v', 'app_data:/data', '-v', `${folder}:/backup`];
    await rig.docker('prod-1', ['run', '--rm', ...volumes, 'alpine', 'touch', '/data/kept']);
    await rig.docker('prod-1', [
      'run',
      '--rm',
      ...volumes,
      'alpine',
      'tar',
      'czf',
      '/backup/data.tar.gz',
      '-C',
      '/data',
      '.',
    ]);
    const { stdout } = await execa('tar', ['tzf', `${folder}/data.tar.gz`]);
    assert.match(stdout, /^\.\/kept$/m);
  });

  it('runs stand-ins for the programs that hooks call in containers', async () => {
    const flush = { content: '#!/bin/sh\necho "$@" > /called\necho OK\n', mode: 0o755 };
    await rig.loadImage(await buildImage({ tag: 'redis:local', files: { '/usr/bin/redis-cli': flush } }));
    await rig.docker('prod-2', ['run', '--detach', '--name', 'app_container', 'redis:local']);
    assert.equal(await rig.docker('prod-2', ['exec', 'app_container', 'redis-cli', 'FLUSHALL']), 'OK');
    assert.equal(await rig.docker('prod-2', ['exec', 'app_container', 'cat', '/called']), 'FLUSHALL');
    await rig.docker('prod-2', ['rm', '--force', 'app_container']);
  });

  it('publishes a port of a container to the host, within reach of the machine', async () => {
    await rig.loadImage(await httpImage({ '/www/hello': { content: 'hello from staging' } }));
    await rig.docker('staging-1', ['run', '--detach', '--name', 'web', '--publish', '3000:80', 'http:local']);
    const { address } = rig.host('staging-1');
    assert.equal(await (await fetch(`http://${address}:3000/hello`)).text(), 'hello from staging');
    await assert.rejects(fetch(`http://${rig.host('prod-1').address}:3000/hello`));
    await rig.docker('staging-1', ['rm', '--force', 'web']);
  });

  it('lets a process on a host dial the machine, and its own loopback', async () => {
    const server = createServer((socket) => socket.end('hello from the machine'));
    await new Promise<void>((resolve) => server.listen(0, rig.controllerAddress, resolve));
    const address = server.address();
    assert(typeof address === 'object' && address !== null);
    const dialled = await runOn(rig.host('prod-2'), [
      'busybox',
      'nc',
      rig.controllerAddress,
      `${address.port}`,
    ]);
    assert.equal(dialled, 'hello from the machine');
    await runOn(rig.host('prod-2'), ['busybox', 'ping', '-c', '1', '127.0.0.1']);
    server.close();
  });

  it('loses the packets of a cut link, and no longer when it is healed', async () => {
    const ping = ['busybox', 'ping', '-c', '1', '-W', '3', rig.controllerAddress];
    await rig.cutLink('staging-1');
    await assert.rejects(runOn(rig.host('staging-1'), ping));
    await runOn(rig.host('prod-1'), ping);
    await rig.healLink('staging-1');
    await runOn(rig.host('staging-1'), ping);
  });

  it('stops the engine of one host while the others work, and starts it with what it had', async () => {
    await rig.docker('prod-1', ['run', '--detach', '--restart', 'always', '--name', 'steady', 'alpine']);
    const id = await rig.docker('prod-1', ['info', '--format', '{{.ID}}']);
    await rig.stopEngine('prod-1');
    await assert.rejects(rig.docker('prod-1', ['ps']), /Cannot connect to the Docker daemon/);
    await rig.docker('prod-2', ['ps']);
    await rig.startEngine('prod-1');
    assert.equal(await rig.docker('prod-1', ['ps', '--format', '{{.Names}}']), 'steady');
    assert.equal(await rig.docker('prod-1', ['info', '--format', '{{.ID}}']), id);
  });

  it('stands beside another rig with hosts of the same names', async () => {
    await using other = await startRig({ hosts: ['prod-1'] });
    assert.notEqual(other.controllerAddress, rig.controllerAddress);
    await other.docker('prod-1', ['run', '--detach', '--name', 'elsewhere', 'alpine']);
    assert(!(await rig.docker('prod-1', ['ps', '--format', '{{.Names}}'])).includes('elsewhere'));
  });
});

describe('a rig that stops', { timeout: 60_000 }, () => {
  it('leaves no process, network, mount or file, whatever runs on it', async () => {
    const rig = await startRig({ hosts: ['one', 'two'] });
    const [host] = rig.hosts;
    assert(host?.dockerHost !== undefined);
    const mark = /kompose-rig-\w+/.exec(host.dockerHost)?.[0] ?? '';
    await rig.docker('one', ['run', '--detach', '--restart', 'always', '--network', 'host', 'alpine']);
    await rig.docker('two', ['run', '--detach', '--restart', 'always', 'alpine']);
    const agent = execa(host.argvPrefix[0] ?? '', [...host.argvPrefix.slice(1), 'sleep', '1000'], {
      reject: false,
    });
    assert(traces(mark).length > 0);

    await rig.stop();

    assert.deepEqual(traces(mark), []);
    assert.equal((await agent).signal, 'SIGKILL');
  });

  it('leaves nothing when it is aborted half way up', async () => {
    const abort = new AbortController();
    const starting = startRig({ hosts: ['one', 'two'], signal: abort.signal });
    const mark = await markOfOurRig();
    abort.abort();
    await assert.rejects(starting, { name: 'AbortError' });
    assert.deepEqual(traces(mark), []);
  });

  it('leaves nothing when its owner is killed', async () => {
    const owner = execa(process.execPath, [fixture], { reject: false, stderr: 'inherit' });
    const [mark = ''] = await once(owner.stdout, 'data', { signal: AbortSignal.timeout(60_000) }).then(
      ([data]) => String(data).trim().split('\n'),
    );
    assert(traces(mark).length > 0);
    owner.kill('SIGKILL');
    await owner;
    for await (const _ of setInterval(50)) if (traces(mark).length === 0) return;
  });
});

/** Waits until the rig that this process is starting has a name. */
async function markOfOurRig(): Promise<string> {
  for await (const _ of setInterval(5)) {
    const states = await Promise.all((await rigFolders()).map(readState));
    const ours = states.find((state) => state?.owner.pid === process.pid);
    if (ours !== undefined) return basename(ours.folder);
  }
  throw new Error('unreachable');
}

/** Whatever the machine shows of a rig: its processes, mounts, folder, cgroups, links and namespaces. */
function traces(mark: string): string[] {
  const id = mark.replace('kompose-rig-', '');
  const commands = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readProc(`/proc/${pid}/cmdline`));
  const mounts = readProc('/proc/self/mounts').split('\n');
  const names = ['/var/tmp', '/sys/class/net', '/run/netns', '/sys/fs/cgroup', '/sys/fs/cgroup/memory'];
  const files = names.flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  const isOurs = (text: string) => text.includes(mark) || (id !== '' && text.includes(id));
  return [...commands, ...mounts, ...files].filter(isOurs);
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function onEach(rig: Rig, args: readonly string[]): Promise<string[]> {
  return Promise.all(rig.hosts.map(({ name }) => rig.docker(name, args)));
}

async function runOn(host: FleetHost, argv: readonly string[]): Promise<string> {
  const [program = '', ...args] = [...host.argvPrefix, ...argv];
  const { stdout } = await execa(program, args, { timeout: 10_000, stdin: 'ignore' });
  return stdout;
}
