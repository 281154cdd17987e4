import { lstatSync, mkdirSync } from 'node:fs';
import nodeModule from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Has what V8 makes of our files kept for the next start, in a folder that nobody else can write to: what lies there is
 * executed. Node's own choice is one in the temporary folder, which belongs to whoever made it first. Where there can be
 * no such folder, nothing is kept, and starts take longer. `NODE_COMPILE_CACHE` is for the user to say.
 */
export function keepCompiled(env: NodeJS.ProcessEnv): void {
  if (env['NODE_COMPILE_CACHE'] !== undefined) return;
  const given = env['XDG_CACHE_HOME'] ?? '';
  const folder = join(isAbsolute(given) ? given : join(homedir(), '.cache'), 'kompose');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (isOursAlone(folder)) nodeModule.enableCompileCache(folder);
  } catch {
    // No home, or a full or read-only one.
  }
}

function isOursAlone(folder: string): boolean {
  const { uid, mode } = lstatSync(folder);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}
