import { version } from '../common/version.ts';
import { keepCompiled } from './compile-cache.ts';
import { missingNode } from './needed-node.ts';

/**
 * Starts a program with what it was given on the command line. Under a Node that is too old it is started anew under
 * the one that this package brings along, so this file keeps to what old ones know. Each command waits for what is
 * loaded here: nothing that it can do without.
 */
export async function launch(argv: readonly string[]): Promise<void> {
  const missing = missingNode(process.versions.node, argv[0]);
  if (missing !== undefined) {
    const { relaunch } = await import('./relaunch.ts');
    relaunch(missing);
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
    controller: () => import('../controller/main.ts'),
  });
  // grpc-js does not give up a connection that nobody answers: its socket would hold the process open.
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0)
      await new Promise<void>((resolve) => void stream.write('', () => resolve()));
  }
  process.exit(exitCode);
}
