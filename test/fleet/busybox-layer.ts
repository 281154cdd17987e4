import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { cached } from './cache.ts';
import { packLayer } from './image-archive.ts';
import { ensureParts } from './install.ts';
import { staticBusybox } from './packages.ts';
import { which } from './which.ts';
import { run } from './run.ts';

/** The lowest layer of our images, a tar file: the machine's static busybox with a link for each of its programs. */
export async function busyboxLayer(): Promise<string> {
  await ensureParts([staticBusybox]);
  const busybox = await which('busybox');
  if (busybox === undefined) throw new Error('busybox is missing: package busybox-static');
  const version = createHash('sha256')
    .update(await readFile(busybox))
    .digest('hex')
    .slice(0, 16);
  return cached(`layers/busybox-${version}.tar`, async (scratch) => {
    const root = `${scratch}-root`;
    await fillRoot(root, busybox);
    await packLayer(root, scratch);
  });
}

async function fillRoot(root: string, busybox: string): Promise<void> {
  const { stdout: programs } = await run(busybox, ['--list-full'], { lines: true });
  const links = programs.filter((path) => path !== 'bin/busybox');
  const folders = new Set(['bin', 'etc', 'root', 'proc', 'sys', 'dev', 'var/run', ...links.map(dirname)]);
  await Promise.all([...folders].map((folder) => mkdir(join(root, folder), { recursive: true })));
  await mkdir(join(root, 'tmp'));
  await run('chmod', ['1777', join(root, 'tmp')]);
  await copyFile(busybox, join(root, 'bin/busybox'));
  await Promise.all(links.map((path) => symlink('/bin/busybox', join(root, path))));
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n',
  );
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnobody:x:65534:\n');
}
