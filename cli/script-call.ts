import { KomposeError } from '../common/errors.ts';

/** Where a `kompose.sh` stands. */
export interface ScriptPlace {
  /** The stacks root. */
  readonly root: string;
  /** The agent that keeps the script; undefined where local mode does. */
  readonly agent: AgentPlace | undefined;
}

export interface AgentPlace {
  readonly socket: string;
  /** The host's, in its fleet. */
  readonly name: string;
}

/** `--stacks ROOT [--socket PATH --name HOST] -- WORDS`, as the script writes them. Pure. Throws `usage`. */
export function parseScriptCall(words: readonly string[]): { place: ScriptPlace; argv: readonly string[] } {
  const end = words.indexOf('--');
  const [stacks, root, ...agent] = words.slice(0, Math.max(0, end));
  const [socketOption, socket, nameOption, name, ...more] = agent;
  const isOfAgent = socketOption === '--socket' && nameOption === '--name' && more.length === 0;
  if (stacks !== '--stacks' || root === undefined || (agent.length > 0 && !isOfAgent))
    throw new KomposeError('usage', 'this kompose.sh is of another version: restart the agent, or remove it');
  const place = { root, agent: socket === undefined || name === undefined ? undefined : { socket, name } };
  return { place, argv: words.slice(end + 1) };
}
