import { version } from '../common/version.ts';
import { keepCompiled } from './compile-cache.ts';
import { missingForController, missingNode } from './missing-node.ts';

/**
 * Starts a program with what it was given on the command line. Under a Node that is too old it is started anew under
 * the one that this package brings along, so this file keeps to what old ones know. Each command waits for what is
 * loaded here: nothing that it can do without.
 */
export async function launch(argv: readonly string[]): Promise<void> {
  if (missingNode(process.versions.node) !== undefined) {
    const { relaunch } = await import('./relaunch.ts');
    relaunch(missingNode);
    return;
  }
  // Should nothing be left to wait for before the program has come to its end, that is no success.
  process.exitCode = 1;
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    const { Terminal } = await import('../cli/terminal.ts');
    const terminal = new Terminal(process);
    terminal.endWithReader();
    terminal.stdout(`${version}\n`);
    process.exitCode = 0;
    return;
  }
  keepCompiled(process.env);
  const isProgram = argv[0] === 'agent' || argv[0] === 'controller';
  const { main } = await (isProgram ? import('../cli/main.ts') : import('../cli/all.ts'));
  const exitCode = await main(argv, {
    agent: () => import('../agent/main.ts'),
    controller: loadController,
  });
  // grpc-js does not give up a connection that nobody answers: its socket would hold the process open.
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0)
      await new Promise<void>((resolve) => void stream.write('', () => resolve()));
  }
  process.exit(exitCode);
}

async function loadController(): Promise<typeof import('../controller/main.ts')> {
  if (missingForController(process.versions.node) !== undefined) {
    const { relaunch } = await import('./relaunch.ts');
    relaunch(missingForController);
    process.exit();
  }
  return import('../controller/main.ts');
}
