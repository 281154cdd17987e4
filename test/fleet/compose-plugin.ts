import { cp, mkdir, writeFile } from 'node:fs/promises';
import { arch, homedir } from 'node:os';
import { join } from 'node:path';
import { cached, cacheFolder } from './cache.ts';
import { exists } from './exists.ts';
import { run } from './run.ts';

const release = 'trixie'; // the first Debian with Compose v2: docker-compose 2.26, docker-buildx
const packages = ['docker-compose', 'docker-buildx'];
const pluginsIn = 'usr/libexec/docker/cli-plugins';
const cacheEntry = `cli-plugins-${release}-${arch()}`;

/** The folder with a usable Compose v2 plugin: the machine's, else the one {@link fetchCompose} got; or undefined. */
export async function findComposeFolder(): Promise<string | undefined> {
  const fetched = join(cacheFolder, cacheEntry);
  if (await exists(join(fetched, 'docker-compose'))) return fetched;
  const usable = await Promise.all(pluginFolders().map(hasComposeV2));
  return pluginFolders().find((_, index) => usable[index]);
}

/**
 * Gets Compose v2 and buildx of Debian trixie into the cache folder and gives that folder. apt works on lists
 * and folders of its own, from the mirror this machine uses: the machine's sources and packages stay untouched.
 */
export async function fetchCompose(signal?: AbortSignal): Promise<string> {
  return cached(cacheEntry, async (scratch) => {
    const apt = await privateApt(`${scratch}-apt`);
    const options = { cwd: `${scratch}-apt`, ...(signal && { cancelSignal: signal }) };
    await run('apt-get', [...apt, 'update'], options);
    await run('apt-get', [...apt, 'download', ...packages], options);
    const { stdout: debs } = await run('find', ['.', '-name', '*.deb'], { ...options, lines: true });
    await Promise.all(debs.map((deb) => run('dpkg-deb', ['-x', deb, 'root'], options)));
    await cp(join(`${scratch}-apt`, 'root', pluginsIn), scratch, { recursive: true });
    await run(join(scratch, 'docker-compose'), ['version'], options);
  });
}

/** Makes the folders of an apt that knows nothing but `release`, and gives the options that point to them. */
async function privateApt(folder: string): Promise<string[]> {
  await mkdir(join(folder, 'lists', 'partial'), { recursive: true });
  await mkdir(join(folder, 'archives', 'partial'), { recursive: true });
  const list = join(folder, 'sources.list');
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
  await writeFile(list, `deb [signed-by=${keys}] ${await debianMirror()} ${release} main\n`);
  return [
    '--quiet',
    `-oDir::Etc::sourcelist=${list}`,
    '-oDir::Etc::sourceparts=/dev/null',
    '-oDir::Etc::preferencesparts=/dev/null',
    `-oDir::State::lists=${join(folder, 'lists')}`,
    `-oDir::Cache=${folder}`,
    `-oDir::Cache::archives=${join(folder, 'archives')}`,
    '-oAcquire::Languages=none',
    '-oAPT::Sandbox::User=root',
  ];
}

async function debianMirror(): Promise<string> {
  const { stdout } = await run(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'],
    {
      lines: true,
    },
  );
  return stdout.find((uri) => /\/debian\/?$/.test(uri)) ?? 'http://deb.debian.org/debian/';
}

/** Where the docker client looks for plugins, its own configuration folder first. */
function pluginFolders(): readonly string[] {
  return [
    join(process.env['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'cli-plugins'),
    '/usr/local/lib/docker/cli-plugins',
    '/usr/local/libexec/docker/cli-plugins',
    '/usr/lib/docker/cli-plugins',
    '/usr/libexec/docker/cli-plugins',
  ];
}

async function hasComposeV2(folder: string): Promise<boolean> {
  const plugin = join(folder, 'docker-compose');
  if (!(await exists(plugin))) return false;
  const { exitCode, stdout } = await run(plugin, ['version', '--short'], { reject: false });
  return exitCode === 0 && Number.parseInt(stdout.replace(/^v/, ''), 10) >= 2;
}
