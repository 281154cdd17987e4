import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { parseRuleSet, type RuleSet } from '../common/rules/rule-set.ts';
import { stacksRootOf } from './config.ts';

/** In the agent's folder, written by this host's owner. */
export function policyPath(folder: string): string {
  return join(folder, 'policy');
}

/**
 * What this host lets be done, whatever the controller asks for; without a file nothing is refused. Throws `failed`,
 * naming the file and the line, for one that is not understood, and for one that others may write to.
 */
export async function loadPolicy(folder: string): Promise<RuleSet> {
  const path = policyPath(folder);
  try {
    const text = await readFile(path, 'utf8');
    await refuseForeign(path);
    return parseRuleSet(text, { of: 'host' });
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return parseRuleSet('', { of: 'host' });
    const { message } = KomposeError.from(error);
    const text = message.includes(path) ? message : `${path}: ${message}`;
    throw new KomposeError('failed', text, { cause: error });
  }
}

/**
 * Likewise without an agent: what the agent with this folder lets be done in its stacks root; in another, or where
 * there is no agent that we may look at, nothing is refused.
 */
export async function loadPolicyFor(folder: string, root: string): Promise<RuleSet> {
  const stacks = await stacksRootOf(folder);
  const isItsOwn = stacks !== undefined && stacks === (await realpath(root));
  return isItsOwn ? loadPolicy(folder) : parseRuleSet('', { of: 'host' });
}

async function refuseForeign(path: string): Promise<void> {
  const { mode, uid } = await stat(path);
  if ((mode & 0o022) !== 0) {
    throw new KomposeError('failed', `${path} can be written by others: run chmod go-w ${path}`);
  }
  const own = process.getuid?.();
  if (own !== undefined && uid !== own && uid !== 0) {
    throw new KomposeError('failed', `${path} belongs to another user: run chown ${own} ${path}`);
  }
}
