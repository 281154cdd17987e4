import type { Image } from './images.ts';
import { run } from './run.ts';

type Env = Readonly<Record<string, string>>;

/** Loads `image` into the engine that `env` points to. Its tags are this image from then on. */
export async function loadImage(env: Env, image: Image): Promise<void> {
  await run('docker', ['load', '--quiet', '--input', image.archive], { env });
  await Promise.all(image.aliases.map((alias) => run('docker', ['tag', image.tag, alias], { env })));
}

/**
 * Loads `image` into an engine that is somebody's own, and gives the tags that were added: one that is there
 * already stays what it is.
 */
export async function loadMissing(env: Env, image: Image): Promise<string[]> {
  const missing = await missingTags(env, [image.tag, ...image.aliases]);
  if (missing.includes(image.tag))
    await run('docker', ['load', '--quiet', '--input', image.archive], { env });
  const aliases = missing.filter((tag) => tag !== image.tag);
  await Promise.all(aliases.map((alias) => run('docker', ['tag', image.tag, alias], { env })));
  return missing;
}

/** Removes tags, and the images that have no other. */
export async function removeTags(env: Env, tags: readonly string[]): Promise<void> {
  if (tags.length > 0) await run('docker', ['image', 'rm', '--force', ...tags], { env });
}

async function missingTags(env: Env, tags: readonly string[]): Promise<string[]> {
  const results = await Promise.all(
    tags.map((tag) => run('docker', ['image', 'inspect', tag], { env, reject: false })),
  );
  return tags.filter((_, index) => results[index]?.exitCode !== 0);
}
