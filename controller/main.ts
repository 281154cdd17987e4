import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import { likeNoun, runVerb } from '../common/program-noun.ts';
import { enable, ownerOf, unitFolder, unitText, writeUnit } from '../common/systemd-unit.ts';
import { version } from '../common/version.ts';
import { readSettings } from './config.ts';

/** Options that stood before the word `controller`. */
export interface ControllerGlobals {
  readonly output: 'plain' | 'json';
}

/**
 * `kompose-controller`, and `kompose controller …`. Returns the exit code. Throws KomposeError for what the user is
 * to be told.
 */
export async function main(args: readonly string[], { output }: ControllerGlobals): Promise<number> {
  return (await runVerb(controllerProgram(output === 'json'), args)) ? 0 : 2;
}

function controllerProgram(isJson: boolean): Command {
  const program = likeNoun(new Command('kompose controller'));
  program.description('The controller of a fleet.').version(version);
  program
    .command('init')
    .description('make the state of a new controller; prints the first login token')
    .requiredOption('--address <host:port>', 'what agents and users dial; repeatable', collect)
    .action(init);
  program
    .command('serve')
    .description('serve, in the foreground')
    .option('--listen <addr:port>', 'default: the port of the first address, on all interfaces')
    .action(serve);
  program
    .command('backup')
    .description('write one archive of database, keys and configuration, also while the controller serves')
    .argument('<file>', 'closed to others, written whole or not at all; - is stdout')
    .action(backup);
  program
    .command('restore')
    .description('make the controller of a backup, where there is none')
    .argument('<file>', '- is stdin')
    .action(restore);
  program
    .command('recover')
    .description('print a login token for a new admin; on this machine only, and audited')
    .action(recover);
  const address = likeNoun(program.command('address')).description('what agents and users dial: ls, add');
  address.command('ls', { isDefault: true }).description('list the addresses').action(showAddresses);
  address
    .command('add')
    .description('one more, also while the controller serves; tokens made later carry it')
    .argument('<host:port>')
    .action(add);
  const ca = likeNoun(program.command('ca')).description('the CA of all certificates: ls, rotate, finish');
  ca.command('ls', { isDefault: true })
    .description('list the CAs that are trusted, and who does not trust the new one yet')
    .addOption(new Option('-o, --output <how>', 'plain or json').choices(['plain', 'json']))
    .action(({ output }: { output?: string }) =>
      showTrust(output === undefined ? isJson : output === 'json'),
    );
  ca.command('rotate')
    .description('make a new CA beside the old one, also while the controller serves; both are trusted')
    .action(rotate);
  ca.command('finish')
    .description('drop the old CA, once everybody trusts the new one')
    .option('--force', 'also if somebody is shut out by it')
    .action(finish);
  const key = likeNoun(program.command('audit-key')).description('the key that signs the audit: ls, rotate');
  key
    .command('ls', { isDefault: true })
    .description('list the fingerprints of all keys that have signed it; the last one signs')
    .addOption(new Option('-o, --output <how>', 'plain or json').choices(['plain', 'json']))
    .action(({ output }: { output?: string }) =>
      showAuditKeys(output === undefined ? isJson : output === 'json'),
    );
  key
    .command('rotate')
    .description(
      'have a new key sign it from now on, also while the controller serves; the old one signs that',
    )
    .action(changeAuditKey);
  program
    .command('install')
    .description('write the unit kompose-controller.service for systemd')
    .option('--print', 'print it instead')
    .option('--to <dir>', 'where units are', unitFolder)
    .option('--force', 'in place of a unit that is there and differs')
    .action(install);
  return program;
}

function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

async function init({ address }: { address: string[] }): Promise<void> {
  const { initController } = await import('./init.ts');
  const token = await initController(readSettings().folder, address);
  process.stderr.write('the controller is set up; log in as its admin with: kompose login TOKEN\n');
  process.stdout.write(`${token}\n`);
}

async function backup(file: string): Promise<void> {
  const { backUpController } = await import('./backup/backup.ts');
  await backUpController(readSettings().folder, file, process.stdout);
}

async function restore(file: string): Promise<void> {
  const { restoreController } = await import('./backup/restore.ts');
  const { folder } = readSettings();
  await restoreController(folder, file, process.stdin);
  process.stderr.write(`restored to ${folder}; now run: kompose controller serve\n`);
}

async function recover(): Promise<void> {
  const { recoverController } = await import('./recover.ts');
  process.stdout.write(`${await recoverController(readSettings().folder)}\n`);
}

async function showAddresses(): Promise<void> {
  const { listAddresses } = await import('./addresses.ts');
  for (const address of await listAddresses(readSettings().folder)) process.stdout.write(`${address}\n`);
}

async function add(address: string): Promise<void> {
  const { addAddress } = await import('./addresses.ts');
  await addAddress(readSettings().folder, address);
  process.stderr.write(`${address} is an address of this controller now; make new tokens to make it known\n`);
}

async function showTrust(isJson: boolean): Promise<void> {
  const [{ viewTrust }, { trustLines }] = await Promise.all([
    import('./rotation.ts'),
    import('./trust-lines.ts'),
  ]);
  process.stdout.write(trustLines(await viewTrust(readSettings().folder), isJson));
}

async function rotate(): Promise<void> {
  const { rotateAuthority } = await import('./rotation.ts');
  const id = await rotateAuthority(readSettings().folder);
  const how = 'hosts that are online and users who come by follow it by themselves';
  process.stderr.write(`the CA ${id} signs from now on; ${how}: see kompose controller ca\n`);
}

async function finish({ force }: { force?: true }): Promise<void> {
  const [{ dropAuthority }, { remedy }] = await Promise.all([
    import('./rotation.ts'),
    import('./trust-lines.ts'),
  ]);
  const { id, shutOut } = await dropAuthority(readSettings().folder, force === true);
  process.stderr.write(`the CA ${id} is trusted no more\n`);
  for (const each of shutOut) {
    process.stderr.write(`${each.kind} ${each.name} is shut out: ${remedy(each)}\n`);
  }
}

async function showAuditKeys(isJson: boolean): Promise<void> {
  const { listAuditKeys } = await import('./audit-key-rotation.ts');
  for (const key of await listAuditKeys(readSettings().folder)) {
    const { fingerprint, fromSeq, since } = key;
    const plain = `${fingerprint}  from record ${fromSeq}${since === undefined ? '' : `, ${since}`}`;
    process.stdout.write(`${isJson ? JSON.stringify({ ...key, since: since ?? null }) : plain}\n`);
  }
}

async function changeAuditKey(): Promise<void> {
  const { rotateAuditKey } = await import('./audit-key-rotation.ts');
  const fingerprint = await rotateAuditKey(readSettings().folder);
  process.stderr.write(
    `the key ${fingerprint} signs the audit from now on; logins follow it by themselves\n`,
  );
}

interface InstallOptions {
  readonly print?: true;
  readonly to: string;
  readonly force?: true;
}

async function install({ print, to, force }: InstallOptions): Promise<void> {
  const [{ controllerUnit, relayingNode }, { loadState }] = await Promise.all([
    import('./unit.ts'),
    import('./config.ts'),
  ]);
  const { folder } = readSettings();
  if (print !== true) await loadState(folder);
  const [file = '', ...words] = process.argv.slice(1);
  const noun = words.slice(0, words.lastIndexOf('install')).includes('controller') ? ['controller'] : [];
  const program = [process.execPath, ...relayingNode, ...process.execArgv, file, ...noun];
  const where = { folder, komposeHome: dirname(folder), user: await ownerOf(folder) };
  const unit = controllerUnit({ argv: [...program, 'serve'], ...where });
  if (print === true) {
    process.stdout.write(unitText(unit));
    return;
  }
  const path = await writeUnit(unit, to, force === true);
  process.stderr.write(`wrote ${path}; now: ${enable(unit.name)}\n`);
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
