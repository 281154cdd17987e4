import { stat } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.ts';
import { run } from './run.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const sources = ['build.ts', 'package.json', '{agent,bin,cli,common,controller,proto}/**/*.ts'];

/**
 * The command line as it is released: `dist/kompose.js`, built anew when a source is newer. It starts in half the
 * time of the sources. Processes at the same time build it once.
 */
export const kompose = join(project, 'dist/kompose.js');
/** What a build writes last. */
const lastBuilt = join(project, 'dist/package.json');

const lock = `build-${createHash('sha256').update(project).digest('hex').slice(0, 16)}`;
if (!(await isFresh())) {
  await withLock(lock, async () => {
    if (!(await isFresh())) await run(process.execPath, [join(project, 'build.ts')], { cwd: project });
  });
}

async function isFresh(): Promise<boolean> {
  const builtMs = await modifiedMs(lastBuilt);
  const files = globSync(sources, { cwd: project });
  const times = await Promise.all(files.map((file) => modifiedMs(join(project, file))));
  return Math.max(...times) < builtMs;
}

/** 0 for what is not there. */
async function modifiedMs(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
