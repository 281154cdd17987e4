import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stats } from 'node:fs';
import { isSystemError } from '../../common/errors.ts';
import { capture } from '../process/capture.ts';

/** What is known of a stack's hooks.sh without running any of it. */
export type HooksFile =
  | { readonly kind: 'none' }
  /** Must not run; `problem` names the file and the mend. */
  | { readonly kind: 'refused'; readonly problem: string }
  | ParsedHooks;

export interface ParsedHooks {
  readonly kind: 'parsed';
  /** Absolute. */
  readonly path: string;
  /** Lower-case hex, of the file as parsed. */
  readonly sha256: string;
  /** The functions `hook_*` that the file defines, by parsing. */
  readonly functions: readonly string[];
  /** Those of them that are defined whatever happens: at the top of the file. */
  readonly certain: readonly string[];
  /** It sources other files or evaluates text: functions may be there that parsing does not see. */
  readonly mayDefineMore: boolean;
  /** It uses `exec` or `trap`, so its exports have to be caught before they happen. */
  readonly replacesShell: boolean;
  readonly isExecutable: boolean;
}

/** Of a stack that has no such file. */
export const noHooks: HooksFile = { kind: 'none' };

/** So old is a file's last change at least that the next one has another time, wherever it is. */
const settledMs = 2_000;

/** Parses hooks.sh files and remembers the result per file until its time or size changes. */
export class HooksParser {
  readonly #env: Readonly<Record<string, string>>;
  readonly #rootOwner: number;
  readonly #known = new Map<string, { readonly stamp: string; readonly hooks: HooksFile }>();

  /** `env` is for the parsing bash; `rootOwner` is the user id that owns the stacks root. */
  constructor(env: Readonly<Record<string, string>>, rootOwner: number) {
    this.#env = env;
    this.#rootOwner = rootOwner;
  }

  /** Of the stack in `folder`. Never throws: a file that cannot be read is refused. */
  async read(folder: string): Promise<HooksFile> {
    const path = join(folder, 'hooks.sh');
    try {
      return await this.#readFile(path);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return noHooks;
      const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown cause';
      return {
        kind: 'refused',
        problem: `${path} cannot be read (${why}): check the file, its owner and mode`,
      };
    }
  }

  async #readFile(path: string): Promise<HooksFile> {
    const stats = await stat(path);
    if (!stats.isFile()) return noHooks;
    const stamp = `${stats.mtimeMs} ${stats.ctimeMs} ${stats.size} ${stats.ino}`;
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return known.hooks;
    const hooks = await this.#parse(path, stats);
    if (Date.now() - stats.ctimeMs > settledMs) this.#known.set(path, { stamp, hooks });
    return hooks;
  }

  async #parse(path: string, stats: Stats): Promise<HooksFile> {
    const problem = unsafety(path, stats, this.#rootOwner);
    if (problem !== undefined) return { kind: 'refused', problem };
    const bytes = await readFile(path);
    const parsed = await capture(['bash', '--norc', '--pretty-print', '--', path], {
      env: { ...this.#env, LC_ALL: 'C' },
      timeoutMs: 10_000,
    });
    if (parsed.exitCode !== 0) return { kind: 'refused', problem: syntaxProblem(path, parsed.stderr) };
    return {
      kind: 'parsed',
      path,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      isExecutable: (stats.mode & 0o111) !== 0,
      ...findFunctions(parsed.stdout),
    };
  }
}

/** A word that runs other text as code, where a command may stand: behind an operator, keyword or assignment. */
const sourcing = new RegExp(
  String.raw`(?:^|[;&|({!]|\b(?:if|elif|then|else|while|until|do|time|builtin|command)\b|\b\w+=\S*\s)` +
    String.raw`\s*(?:!\s+)?(?:builtin\s+|command\s+)?(?:source|\.|eval)\s`,
  'm',
);

/** Reads bash's own normal form of a script (`bash --pretty-print`), in which each definition has its line. */
export function findFunctions(
  pretty: string,
): Pick<ParsedHooks, 'functions' | 'certain' | 'mayDefineMore' | 'replacesShell'> {
  const definitions = pretty.matchAll(/^\s*(?:function )?(hook_[A-Za-z0-9_]+) \(\)/gm);
  const functions = new Set<string>();
  for (const [, name] of definitions) if (name !== undefined) functions.add(name);
  return {
    functions: [...functions].toSorted(),
    certain: [...pretty.matchAll(/^(hook_[A-Za-z0-9_]+) \(\) \n\{ \n/gm)].map(([, name = '']) => name),
    mayDefineMore: sourcing.test(pretty),
    replacesShell: /\b(?:exec|trap)\b/.test(pretty),
  };
}

/** Why a file must not run as this user, with the command that mends it; undefined if it may. */
export function unsafety(
  path: string,
  { mode, uid }: Pick<Stats, 'mode' | 'uid'>,
  rootOwner: number,
): string | undefined {
  if ((mode & 0o002) !== 0) return `${path} is writable by everybody: run chmod o-w ${path}`;
  const own = process.getuid?.() ?? 0;
  if (uid === 0 || uid === own || uid === rootOwner) return undefined;
  return `${path} belongs to user ${uid}, who could run code as user ${own} with it: run chown ${own} ${path}`;
}

function syntaxProblem(path: string, stderr: string): string {
  const first = stderr.split('\n').find((line) => line.trim() !== '') ?? 'bash cannot parse it';
  return `syntax error in hooks.sh: ${first.replace(/^bash: /, '').replace(`${path}: `, '')}`;
}
