import { homedir } from 'node:os';
import { join } from 'node:path';
import { komposeHome } from '../common/kompose-home.ts';

/** What the environment says; options of the command line win over it. */
export interface Settings {
  /** KOMPOSE_HOME/user: contexts and who is logged in. */
  readonly userFolder: string;
  /** KOMPOSE_CONTROLLER: HOST:PORT in place of the context's addresses. */
  readonly controller: string | undefined;
  /** KOMPOSE_STACKS: the stacks root of local mode, in place of the current folder. */
  readonly stacks: string | undefined;
  /** The whole environment: the lowest layer in local mode. */
  readonly env: Readonly<Record<string, string>>;
  /** What this machine is called in local mode, if not by its own name. */
  readonly hostName: string | undefined;
  /** KOMPOSE_TASK_ID: the task whose hook we are called from. */
  readonly hookTask: string | undefined;
  /** KOMPOSE_CHAIN: that hook is one of local mode. */
  readonly isInLocalHook: boolean;
  /** NO_COLOR, https://no-color.org: any value but an empty one. */
  readonly isColourUnwanted: boolean;
  /** TERM: what kind of terminal we run on, if we do. */
  readonly term: string;
  /** KOMPOSE_DEBUG: show the stack of a bug. */
  readonly isDebugging: boolean;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    userFolder: join(komposeHome(env, process.getuid?.(), homedir()), 'user'),
    controller: env['KOMPOSE_CONTROLLER'] === '' ? undefined : env['KOMPOSE_CONTROLLER'],
    stacks: isSet(env['KOMPOSE_STACKS']) ? env['KOMPOSE_STACKS'] : undefined,
    env: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    hostName: undefined,
    hookTask: isSet(env['KOMPOSE_TASK_ID']) ? env['KOMPOSE_TASK_ID'] : undefined,
    isInLocalHook: isSet(env['KOMPOSE_CHAIN']),
    isColourUnwanted: isSet(env['NO_COLOR']),
    term: isSet(env['TERM']) ? (env['TERM'] ?? '') : 'xterm',
    isDebugging: isSet(env['KOMPOSE_DEBUG']),
  };
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
