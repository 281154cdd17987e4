import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

/** Starts this program anew under the Node that this package brings along; `missing` says what to install without one. */
export function relaunch(missing: string): void {
  const node = join(import.meta.dirname, '../node_modules/.bin/node');
  if (!existsSync(node)) {
    process.stderr.write(`kompose: this is Node ${process.versions.node}; install ${missing}\n`);
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
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
