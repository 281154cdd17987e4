import type { Captured } from '../process/capture.ts';

/*
 * What a step of docker compose starts inside containers, and how that is ended when the task is stopped: it does not
 * end with the client, which is all that a signal on the host reaches.
 *
 * INVARIANTS
 * - What is ended bears the task's own mark: two tasks may work in one container, and only ours is touched.
 * - Ending takes no longer than the grace and some seconds, whatever the engine does.
 */

/** Where a step runs; `env` says which engine, and which project. */
export interface ContainerPlace {
  readonly task: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface ContainerWork {
  /** For compose's command line, right behind the command: the mark. */
  readonly options: readonly string[];
  /**
   * SIGTERM to what is running now, SIGKILL to what is left after `graceMs`. Resolves with what could not be ended,
   * in words for the user; never rejects.
   */
  end(graceMs: number): Promise<string | undefined>;
}

/** The line of docker's own that tells why it failed. */
export function dockerProblem({ stderr, exitCode }: Captured): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1)?.trim() ?? `docker ended with exit code ${exitCode}`;
}
