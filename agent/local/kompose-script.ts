import { readFile } from 'node:fs/promises';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';

const mark = '# Kept by the kompose agent of this host: changes are overwritten.';

const socketOption = '--socket';

/** How this agent's own program is called again. */
export type Launcher = readonly [string, ...string[]];

/** The agent of this host. */
export interface ScriptKeeper {
  readonly socket: string;
  /** The host's. */
  readonly name: string;
}

/**
 * Keeps an executable `kompose.sh` in the stacks root that hands its words to the agent, or without one runs them by
 * itself. One that is not ours is left alone: the result is false then.
 */
export async function keepKomposeScript(
  root: string,
  launcher: Launcher,
  agent: ScriptKeeper | undefined,
): Promise<boolean> {
  const path = join(root, 'kompose.sh');
  const wanted = script(root, launcher, agent);
  const there = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (there !== undefined && !there.includes(mark)) return false;
  if (there === wanted) return true;
  // An agent's is the better one: what goes through it is recorded.
  if (agent === undefined && there?.includes(socketOption) === true) return true;
  const beside = join(root, `.kompose.sh.${process.pid}`);
  await writeFile(beside, wanted, { mode: 0o755 });
  await chmod(beside, 0o755);
  await rename(beside, path);
  return true;
}

/** Whose kompose.sh stands in the stacks root. */
export async function komposeScriptOwner(root: string): Promise<'nobody' | 'kompose' | 'somebody'> {
  const text = await readFile(join(root, 'kompose.sh'), 'utf8').catch(() => undefined);
  if (text === undefined) return 'nobody';
  return text.includes(mark) ? 'kompose' : 'somebody';
}

function script(root: string, launcher: Launcher, agent: ScriptKeeper | undefined): string {
  const to = agent === undefined ? [] : [socketOption, agent.socket, '--name', agent.name];
  const words = [...launcher, 'chain', '--stacks', root, ...to, '--'].map(quoted).join(' ');
  return `#!/usr/bin/env bash\n${mark}\nexec ${words} "$@"\n`;
}

/** For bash, whatever the word holds. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
