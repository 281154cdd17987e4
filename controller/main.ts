import { Command, CommanderError } from 'commander';
import { KomposeError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import { readSettings } from './config.ts';

/**
 * `kompose-controller`, and `kompose controller …`. Returns the exit code. Throws KomposeError for what the user is
 * to be told.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await controllerProgram().parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

function controllerProgram(): Command {
  const program = new Command('kompose controller').description('the controller of a fleet').version(version);
  program
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error/, 'kompose')) });
  program
    .command('init')
    .description('make the state of a new controller; prints the first login token')
    .requiredOption('--address <host:port>', 'what agents and users dial; repeatable', collect, [])
    .action(init);
  program
    .command('serve')
    .description('serve, in the foreground')
    .option('--listen <addr:port>', 'default: the port of the first address, on all interfaces')
    .action(serve);
  for (const name of ['backup', 'recover', 'address', 'install']) {
    program.command(name, { hidden: true }).action(() => {
      throw new KomposeError('usage', `kompose controller ${name} is not built yet`);
    });
  }
  return program;
}

function collect(value: string, all: readonly string[]): string[] {
  return [...all, value];
}

async function init({ address }: { address: string[] }): Promise<void> {
  const { initController } = await import('./init.ts');
  const token = await initController(readSettings().folder, address);
  process.stderr.write('the controller is set up; log in as its admin with: kompose login TOKEN\n');
  process.stdout.write(`${token}\n`);
}

async function serve({ listen }: { listen?: string }): Promise<void> {
  const [{ createLog }, { serveController }] = await Promise.all([
    import('../common/log.ts'),
    import('./serve.ts'),
  ]);
  const log = createLog('controller');
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve());
  const controller = await serveController(readSettings(), listen, log);
  process.stdout.write(`listening on ${controller.address}\n`);
  await stopped.promise;
  await controller.close();
}
