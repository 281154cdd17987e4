import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';

/**
 * Starts this program anew under the Node that this package brings along, with Node's own arguments too. `missing` says of
 * a version what to install instead; where that one will not do or is not there, so does stderr, and the exit code is 1.
 */
export function relaunch(missing: (version: string) => string | undefined): void {
  const node = join(import.meta.dirname, '../node_modules/.bin/node');
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (typeof stdout !== 'string' || !stdout.startsWith('v') || missing(stdout.slice(1)) !== undefined) {
    const { node: version } = process.versions;
    process.stderr.write(`kompose: this is Node ${version}; install ${missing(version)}\n`);
    process.exitCode = 1;
    return;
  }
  const args = [...process.execArgv, ...process.argv.slice(1)];
  // In this process's place, where Node knows how: nobody has to pass signals on, and nothing stands beside it.
  if (typeof process.execve === 'function') process.execve(node, [node, ...args]);
  const child = spawn(node, args, { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both of us: then it must not reach the child twice.
  const hasTerminal = process.stdin.isTTY || process.stderr.isTTY;
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !hasTerminal) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}
