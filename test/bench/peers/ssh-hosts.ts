import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { freePort } from '../../fleet/free-port.ts';
import { ensureParts } from '../../fleet/install.ts';
import { program } from '../../fleet/packages.ts';
import { run } from '../../fleet/run.ts';
import { which } from '../../fleet/which.ts';
import { until } from '../../until.ts';
import { chunks } from '../fleet/light-fleet.ts';

/** One sshd listens on so many addresses at most. */
const addressesAServer = 16;
const startMs = 10_000;

export interface SshHostsOptions {
  /** IPv4. */
  readonly addresses: readonly string[];
  /** Put before sshd's argv, runs it elsewhere. */
  readonly argvPrefix?: readonly string[];
}

/** Addresses of this machine on which an sshd answers, with keys of its own: nothing of the user's is read. */
export class SshHosts implements AsyncDisposable {
  readonly addresses: readonly string[];
  /** For `ssh -F`: each command makes its own connection. */
  readonly coldConfig: string;
  /** Likewise, but connections are kept open, and used again. */
  readonly warmConfig: string;
  readonly folder: string;
  readonly #servers: { kill(signal: NodeJS.Signals): boolean }[] = [];

  private constructor(folder: string, addresses: readonly string[]) {
    this.folder = folder;
    this.addresses = addresses;
    this.coldConfig = join(folder, 'cold.conf');
    this.warmConfig = join(folder, 'warm.conf');
  }

  /** All of them answer. */
  static async start({ addresses, argvPrefix = [] }: SshHostsOptions): Promise<SshHosts> {
    await ensureParts([program('sshd', 'openssh-server'), program('ssh', 'openssh-client')]);
    const hosts = new SshHosts(await mkdtemp(join(tmpdir(), 'kompose-ssh-')), addresses);
    try {
      await hosts.#start(argvPrefix);
      return hosts;
    } catch (error) {
      await hosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(argvPrefix: readonly string[]): Promise<void> {
    const { folder } = this;
    for (const key of ['host', 'user'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, key)]);
    await writeFile(join(folder, 'authorized'), await readFile(join(folder, 'user.pub')), { mode: 0o600 });
    await writeFile(join(folder, 'known'), `* ${await readFile(join(folder, 'host.pub'), 'utf8')}`);
    const port = await freePort();
    await this.#configureClient(port);
    // Debian's service makes it; sshd does not start without.
    await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
    const sshd = (await which('sshd')) ?? 'sshd';
    for (const [at, addresses] of chunks(this.addresses, addressesAServer).entries()) {
      const path = join(folder, `sshd-${at}.conf`);
      await writeFile(path, serverConfig(folder, port, addresses));
      const [file, ...args] = [...argvPrefix, sshd, '-D', '-e', '-f', path];
      this.#servers.push(execa(file, args, { stdio: 'ignore', reject: false }));
    }
    for (const address of this.addresses) await untilAnswered(address, port);
  }

  async #configureClient(port: number): Promise<void> {
    const { folder } = this;
    const cold = [
      'Host *',
      'User root',
      `Port ${port}`,
      `IdentityFile ${join(folder, 'user')}`,
      'IdentitiesOnly yes',
      'BatchMode yes',
      `UserKnownHostsFile ${join(folder, 'known')}`,
      'GlobalKnownHostsFile none',
      'StrictHostKeyChecking yes',
      'LogLevel ERROR',
    ];
    const kept = ['ControlMaster auto', `ControlPath ${join(folder, '%h')}`, 'ControlPersist 5m'];
    await writeFile(this.coldConfig, `${[...cold, 'ControlMaster no', 'ControlPath none'].join('\n')}\n`);
    await writeFile(this.warmConfig, `${[...cold, ...kept].join('\n')}\n`);
  }

  /** Opens the connections that are kept. */
  async warmUp(): Promise<void> {
    for (const address of this.addresses)
      await run('ssh', ['-F', this.warmConfig, address, 'true'], { stdio: 'ignore' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = (address: string) =>
      run('ssh', ['-F', this.warmConfig, '-O', 'exit', address], { stdio: 'ignore', reject: false });
    await Promise.all(this.addresses.map(exit));
    for (const server of this.#servers) server.kill('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }
}

function serverConfig(folder: string, port: number, addresses: readonly string[]): string {
  const lines = [
    `Port ${port}`,
    ...addresses.map((address) => `ListenAddress ${address}`),
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'authorized')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'MaxStartups 1000',
    'MaxSessions 1000',
    // No ~/.bashrc of this machine's, which bash reads when sshd starts it.
    `SetEnv HOME=${folder}`,
  ];
  return `${lines.join('\n')}\n`;
}

function untilAnswered(address: string, port: number): Promise<void> {
  return until(`sshd answers at ${address}:${port}`, () => isAnswered(address, port), startMs);
}

async function isAnswered(address: string, port: number): Promise<boolean> {
  const socket = connect(port, address);
  const isThere = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return isThere;
}
