import { commandTraits } from '../../common/compose-command.ts';

/** The roles that are there from the start. */
export const userRoles = ['admin', 'operator', 'viewer'] as const;
export type UserRole = (typeof userRoles)[number];

/** What somebody asks to do on a target. */
export interface Request {
  readonly command: string;
  readonly args: readonly string[];
  /** Names of the variables of -e. */
  readonly envNames: readonly string[];
}

const operatorCommands = new Set([
  'up',
  'down',
  'start',
  'stop',
  'restart',
  'build',
  'pull',
  'push',
  'create',
  'kill',
  'pause',
  'unpause',
  'rm',
  'scale',
  'wait',
  'db:export',
  'db:cleanup',
]);

/** Variables that decide what code runs, or against which engine: setting them is an admin's right. */
const adminVariables =
  /^(?:PATH|BASH_ENV|ENV|SHELLOPTS|BASHOPTS|IFS|PS4|NODE_OPTIONS|LD_.*|DOCKER_.*|COMPOSE_.*|PG.*|.*_PROXY)$/i;

/**
 * Why a role may not do this, in words for the user; undefined if it may. Section 7 of the design: `viewer` has the
 * reading commands, `operator` those and the changing ones, everything else is `admin`'s.
 */
export function refusal(role: string, request: Request): string | undefined {
  if (role === 'admin') return undefined;
  const variable = request.envNames.find((name) => adminVariables.test(name));
  if (variable !== undefined) return `-e ${variable} needs the role admin; yours is ${role}`;
  const { command } = request;
  if (command === 'config' && writesFile(request.args)) {
    return `config with an output file needs the role admin; yours is ${role}`;
  }
  if (commandTraits(command, request.args).reads) return undefined;
  if (role === 'operator' && operatorCommands.has(command)) return undefined;
  const needed = operatorCommands.has(command) ? 'operator' : 'admin';
  return `${command} needs the role ${needed}; yours is ${role}`;
}

/** `-o FILE`, `-oFILE`, `--output FILE`, `--lock-image-digests` excepted: any spelling that pflag takes. */
function writesFile(args: readonly string[]): boolean {
  return args.some((arg) => /^--output(=|$)/.test(arg) || /^-[a-zA-Z]*o/.test(arg));
}
