import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from './run.ts';

/** The part of an image's configuration that matters here, in the words of the OCI image specification. */
export interface ImageConfig {
  Cmd?: readonly string[];
  Entrypoint?: readonly string[];
  Env?: readonly string[];
  ExposedPorts?: Record<string, object>;
  StopSignal?: string;
  Volumes?: Record<string, object>;
  WorkingDir?: string;
}

/** Packs `folder` as a layer: all files root's, no times, so that the same content is the same layer. */
export async function packLayer(folder: string, tarFile: string): Promise<void> {
  await run('tar', [...reproducible, '--owner=0', '--group=0', '-C', folder, '-cf', tarFile, '.']);
}

/**
 * Writes an archive for `docker load` (the format of `docker save`: manifest.json, the configuration, one tar per
 * layer, lowest first). The same input is the same image id on every engine. `workshop` is an empty folder.
 */
export async function writeArchive(
  workshop: string,
  archive: string,
  { tag, layers, config }: { tag: string; layers: readonly string[]; config: ImageConfig },
): Promise<void> {
  await mkdir(workshop, { recursive: true });
  const digests = await Promise.all(layers.map(sha256));
  const image = JSON.stringify({
    architecture: architecture(),
    os: 'linux',
    created: '2025-01-01T00:00:00Z',
    config,
    rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
    history: digests.map(() => ({ created: '2025-01-01T00:00:00Z', created_by: 'kompose test rig' })),
  });
  const configFile = `${createHash('sha256').update(image).digest('hex')}.json`;
  const layerFiles = digests.map((digest) => `${digest}.tar`);
  const manifest = JSON.stringify([{ Config: configFile, RepoTags: [tag], Layers: layerFiles }]);
  await Promise.all([
    writeFile(join(workshop, configFile), image),
    writeFile(join(workshop, 'manifest.json'), manifest),
    ...layers.map((layer, index) => link(layer, join(workshop, layerFiles[index] ?? ''))),
  ]);
  await run('tar', [
    ...reproducible,
    '-C',
    workshop,
    '-cf',
    archive,
    'manifest.json',
    configFile,
    ...layerFiles,
  ]);
}

const reproducible = ['--sort=name', '--mtime=@0', '--numeric-owner', '--format=gnu'];

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
