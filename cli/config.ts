import { homedir } from 'node:os';
import { join } from 'node:path';
import { komposeHome } from '../common/kompose-home.ts';

/** What the environment says; options of the command line win over it. */
export interface Settings {
  /** KOMPOSE_HOME/user: contexts and who is logged in. */
  readonly userFolder: string;
  /** KOMPOSE_CONTROLLER: HOST:PORT in place of the context's addresses. */
  readonly controller: string | undefined;
  /** NO_COLOR, https://no-color.org: any value but an empty one. */
  readonly isColourUnwanted: boolean;
  /** KOMPOSE_DEBUG: show the stack of a bug. */
  readonly isDebugging: boolean;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    userFolder: join(komposeHome(env, process.getuid?.(), homedir()), 'user'),
    controller: env['KOMPOSE_CONTROLLER'] === '' ? undefined : env['KOMPOSE_CONTROLLER'],
    isColourUnwanted: isSet(env['NO_COLOR']),
    isDebugging: isSet(env['KOMPOSE_DEBUG']),
  };
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
