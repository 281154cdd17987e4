import { Option, type Command } from 'commander';
import { confirmedCommands } from '../common/compose-command.ts';
import { parseDuration } from '../common/durations.ts';
import { KomposeError } from '../common/errors.ts';
import { checkEnvAssignment } from '../common/names.ts';
import { hostFilter, labelFilter } from '../common/patterns.ts';
import { quoted } from '../common/quoted.ts';

import type { GlobalOptions } from './globals.ts';

/** Of `-y`. */
export const confirmHelp = `do not ask before ${confirmedCommands.slice(0, -1).join(', ')} or ${confirmedCommands.at(-1)} on several targets`;

export function addGlobalOptions(command: Command): Command {
  return command
    .optionsGroup('Output and controller:')
    .addOption(
      valued('-o, --output <how>', 'auto, live (shows progress in place), plain or json', parseOutput),
    )
    .option('-q, --quiet', "drop kompose's own lines; output and failures stay")
    .option('--no-color', 'no colour (as NO_COLOR)')
    .option(
      '--controller <address>',
      'HOST:PORT of the controller (else KOMPOSE_CONTROLLER, else the context)',
    )
    .option('--context <name>', 'the login to use (see kompose login)');
}

/** An option whose value is checked as it is read. `parse` throws `usage`. */
export function valued(flags: string, description: string, parse: (text: string) => unknown): Option {
  return new Option(flags, description).argParser(parse);
}

/** One that may be repeated; its values are checked and kept as typed. */
export function repeated(flags: string, description: string, check: (text: string) => unknown): Option {
  return new Option(flags, description).argParser((text: string, before: string[] | undefined) => {
    check(text);
    return [...(before ?? []), text];
  });
}

export function hostOption(): Option {
  return repeated('-H, --host <pattern>', 'only these hosts: globs, comma lists, !not; repeatable', (text) =>
    hostFilter([text]),
  );
}

export function labelFilterOption(): Option {
  return repeated('-L, --label <k=v>', 'only hosts with this label; K!=V, K; repeatable', (text) =>
    labelFilter([text]),
  );
}

/** Pairs of `-e`, the last of a name counting. */
export function envOption(): Option {
  const description = 'a variable for every step; repeatable; wins over every file';
  return new Option('-e, --env <k=v>', description).argParser(withVariable);
}

/** Parses a `K=V` and lays it over those before it. Throws `usage`. */
export function withVariable(
  text: string,
  before: Record<string, string> | undefined,
): Record<string, string> {
  return { ...before, ...Object.fromEntries([checkEnvAssignment(text)]) };
}

function parseOutput(text: string): GlobalOptions['output'] {
  if (text === 'auto' || text === 'live' || text === 'plain' || text === 'json') return text;
  return fail('--output', text, 'write auto, live, plain or json');
}

export function parseCount(flag: string, least: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    const isCount = /^\d{1,9}$/.test(text) && count >= least;
    return isCount ? count : fail(flag, text, `write a whole number, at least ${least}`);
  };
}

/** A time (`2026-05-01`, `2026-05-01T08:00:00Z`; without a zone, local), or how long ago (`2h`). Unix milliseconds. */
export function parseMoment(flag: string): (text: string) => number {
  return (text) => {
    const isDate = /^\d{4}-\d\d-\d\d/.test(text);
    // A date alone would be midnight in UTC.
    const ms = isDate ? Date.parse(text.length === 10 ? `${text}T00:00:00` : text) : undefined;
    if (ms === undefined) return Date.now() - parseDuration(text);
    if (!Number.isNaN(ms)) return ms;
    return fail(flag, text, 'write a time (2026-05-01T08:00:00Z) or how long ago (2h)');
  };
}

export function parseFingerprint(flag: string): (text: string) => string {
  return (text) => {
    const hex = text.replaceAll(':', '').toLowerCase();
    if (/^[0-9a-f]{64}$/.test(hex)) return hex;
    return fail(flag, text, "write the 64 hex digits of the audit key's SHA-256 (kompose whoami)");
  };
}

/** `N`, or `N%`. */
export interface Share {
  readonly count: number;
  readonly isPercent: boolean;
}

/** `N` or `N%`. */
export function parseShare(flag: string, least: number): (text: string) => Share {
  return (text) => {
    const count = Number(text.replace(/%$/, ''));
    const most = text.endsWith('%') ? 100 : Infinity;
    const isShare = /^\d{1,9}%?$/.test(text) && count >= least && count <= most;
    if (isShare) return { count, isPercent: text.endsWith('%') };
    return fail(flag, text, `write a whole number or a percentage, at least ${least}`);
  };
}

/** What becomes of a host that is not connected. */
export type Offline = 'fail' | 'skip' | { readonly waitMs: number };

/** `fail`, `skip` or `wait=DURATION`. */
export function parseOffline(text: string): Offline {
  if (text === 'fail' || text === 'skip') return text;
  if (!text.startsWith('wait=')) return fail('--offline', text, 'write fail, skip or wait=DURATION');
  return { waitMs: parseDuration(text.slice('wait='.length)) };
}

export function parseName(flag: string): (text: string) => string {
  return (text) => {
    if (text !== '' && !text.includes('\0')) return text;
    return fail(flag, text, 'write a name');
  };
}

function fail(flag: string, text: string, hint: string): never {
  throw new KomposeError('usage', `bad value ${quoted(text)} of ${flag}: ${hint}`);
}
