import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;

/**
 * Starts a program with what it was given on the command line. Under a Node that is too old it is started anew under
 * the one that this package brings along, so this file keeps to what old ones know.
 */
export async function launch(argv: readonly string[]): Promise<void> {
  if (Number.parseInt(process.versions.node, 10) < neededMajor) {
    relaunch();
    return;
  }
  nodeModule.enableCompileCache();
  const { main } = await import('../cli/main.ts');
  const exitCode = await main(argv, {
    agent: () => import('../agent/main.ts'),
    controller: () => import('../controller/main.ts'),
  });
  // grpc-js does not give up a connection that nobody answers: its socket would hold the process open.
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => void stream.write('', () => resolve()));
  }
  process.exit(exitCode);
}

function relaunch(): void {
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(
      `kompose: this is Node ${process.versions.node}; install Node ${neededMajor} or newer\n`,
    );
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
