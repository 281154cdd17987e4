import { createHash } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { busyboxLayer } from './busybox-layer.ts';
import { cached } from './cache.ts';
import { packLayer, writeArchive, type ImageConfig } from './image-archive.ts';

/** An image that no registry gave: an archive for `docker load`, with its tag, and further tags to give it. */
export interface Image {
  tag: string;
  aliases: readonly string[];
  archive: string;
}

export interface ImageSpec {
  tag: string;
  /** Files on top of busybox, by absolute path. A `mode` of 0o755 makes a program. */
  files?: Readonly<Record<string, { content: string | Uint8Array; mode?: number }>>;
  /** Runs for ever when not given. */
  cmd?: readonly string[];
  entrypoint?: readonly string[];
  env?: Readonly<Record<string, string>>;
  workdir?: string;
  /** SIGKILL when not given: most programs here ignore SIGTERM as pid 1, and each stop would take 10 s. */
  stopSignal?: string;
  /** Tar files of layers between busybox and `files`. */
  layers?: readonly string[];
  /** Paths that are volumes. */
  volumes?: readonly string[];
}

/**
 * Makes an image of busybox and `files`, once: the same spec is the same archive in the cache. A stand-in for a
 * program in a container is a script:
 *
 *     buildImage({ tag: 'directus:local', files: { '/usr/bin/npx': { content: '#!/bin/sh\n…', mode: 0o755 } } })
 */
export async function buildImage(spec: ImageSpec): Promise<Image> {
  const layers = [await busyboxLayer(), ...(spec.layers ?? [])];
  const key = createHash('sha256')
    .update(JSON.stringify([layers, spec], asText))
    .digest('hex')
    .slice(0, 32);
  const archive = await cached(`images/${key}.tar`, async (scratch) => {
    const files = `${scratch}-files`;
    await writeFiles(files, spec);
    const filesLayer = `${scratch}-files.tar`;
    await packLayer(files, filesLayer);
    const hasFiles = Object.keys(spec.files ?? {}).length > 0;
    await writeArchive(`${scratch}-archive`, scratch, {
      tag: spec.tag,
      layers: hasFiles ? [...layers, filesLayer] : layers,
      config: configOf(spec),
    });
  });
  return { tag: spec.tag, aliases: [], archive };
}

/** `busybox:local`, also as `busybox:latest` and `alpine:latest`: it has sh, tar, gzip, wget, nc, httpd. */
export async function busyboxImage(): Promise<Image> {
  const image = await buildImage({ tag: 'busybox:local' });
  return { ...image, aliases: ['busybox:latest', 'alpine:latest'] };
}

/** `http:local` serves the files of /www, and the scripts of /www/cgi-bin, on port 80. */
export async function httpImage(files: NonNullable<ImageSpec['files']> = {}): Promise<Image> {
  return buildImage({
    tag: 'http:local',
    files: { '/www/index.html': { content: 'ok\n' }, ...files },
    cmd: ['httpd', '-f', '-p', '80', '-h', '/www'],
  });
}

function configOf(spec: ImageSpec): ImageConfig {
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...spec.env };
  return {
    Cmd: spec.cmd ?? ['tail', '-f', '/dev/null'],
    ...(spec.entrypoint && { Entrypoint: spec.entrypoint }),
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    StopSignal: spec.stopSignal ?? 'SIGKILL',
    ...(spec.volumes && { Volumes: Object.fromEntries(spec.volumes.map((path) => [path, {}])) }),
    WorkingDir: spec.workdir ?? '/',
  };
}

async function writeFiles(root: string, { files = {} }: ImageSpec): Promise<void> {
  await mkdir(root, { recursive: true });
  await Promise.all(
    Object.entries(files).map(async ([path, { content, mode = 0o644 }]) => {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      await chmod(file, mode);
    }),
  );
}

function asText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
