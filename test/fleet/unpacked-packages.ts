import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

export interface Wanted {
  /** Of Debian. */
  readonly release: string;
  readonly packages: readonly string[];
  /** With all that they depend on and this machine has not. */
  readonly withDependencies?: true;
  readonly signal?: AbortSignal;
}

/**
 * Downloads packages of a release of Debian and unpacks them below `folder`, without installing them; gives the root
 * of what was in them. apt works on lists and folders of its own, from the mirror this machine uses: the machine's
 * sources and packages stay untouched.
 */
export async function unpackPackages(
  folder: string,
  { release, packages, withDependencies, signal }: Wanted,
): Promise<string> {
  const apt = await privateApt(folder, release);
  const options = { cwd: folder, ...(signal && { cancelSignal: signal }) };
  await run('apt-get', [...apt, 'update'], options);
  const more = withDependencies === true ? await missing([...apt], packages) : [];
  await run('apt-get', [...apt, 'download', ...new Set([...packages, ...more])], options);
  const { stdout: debs } = await run('find', ['.', '-name', '*.deb'], { ...options, lines: true });
  await Promise.all(debs.map((deb) => run('dpkg-deb', ['-x', deb, 'root'], options)));
  return join(folder, 'root');
}

async function missing(apt: readonly string[], packages: readonly string[]): Promise<string[]> {
  const simulate = ['--simulate', '--no-install-recommends', 'install', ...packages];
  const { stdout } = await run('apt-get', [...apt, ...simulate], { lines: true });
  return stdout.flatMap((line) => /^Inst (\S+)/.exec(line)?.[1] ?? []);
}

/** Makes the folders of an apt that knows nothing but the release, and gives the options that point to them. */
async function privateApt(folder: string, release: string): Promise<string[]> {
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
