import { join } from 'node:path';

/**
 * The folder that holds all state of this machine's programs: `controller/`, `agent/` and `user/`.
 * `KOMPOSE_HOME`, else `/var/lib/kompose` as root, else `~/.local/state/kompose`.
 */
export function komposeHome(env: NodeJS.ProcessEnv, uid: number | undefined, homeFolder: string): string {
  const given = env['KOMPOSE_HOME'];
  if (given !== undefined && given !== '') return given;
  return uid === 0 ? '/var/lib/kompose' : join(homeFolder, '.local/state/kompose');
}
