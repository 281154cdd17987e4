import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensureParts } from '../../fleet/install.ts';
import { program } from '../../fleet/packages.ts';
import type { SshHosts } from './ssh-hosts.ts';

export type ToolName = 'ssh' | 'parallel-ssh' | 'clush' | 'ansible' | 'ssh, kept open' | 'clush, kept open';

/** A program that runs `true` on the first so many hosts, all at once; rejects where one fails. */
export type Tool = (count: number) => Promise<unknown>;

/** What one would use on hosts that answer to ssh. */
export async function sshTools(hosts: SshHosts): Promise<Readonly<Record<ToolName, Tool>>> {
  await ensureParts([
    program('parallel-ssh', 'pssh'),
    program('clush', 'clustershell'),
    program('ansible', 'ansible-core'),
  ]);
  const { addresses, folder, coldConfig, warmConfig } = hosts;
  // Of the user's own nothing is read.
  await writeFile(join(folder, 'ansible.cfg'), '');
  const names = (count: number): string => `${addresses.slice(0, count).join('\n')}\n`;
  const ssh = (config: string): Tool => {
    return (count) => {
      const argv = ['-P', String(count), '-n', '1', '-I{}', 'ssh', '-n', '-F', config, '{}', 'true'];
      return execa('xargs', argv, { input: names(count) });
    };
  };
  const clush = (config: string): Tool => {
    return (count) => {
      const where = ['-w', addresses.slice(0, count).join(','), '-f', String(count)];
      return execa('clush', ['-S', '-n', ...where, '-o', `-F ${config}`, 'true'], { stdin: 'ignore' });
    };
  };
  const inventory = async (count: number): Promise<string> => {
    const path = join(folder, `hosts-${count}`);
    await writeFile(path, names(count));
    return path;
  };
  return {
    ssh: ssh(coldConfig),
    'parallel-ssh': async (count) => {
      const argv = ['-h', await inventory(count), '-p', String(count), '-x', `-F ${coldConfig}`, 'true'];
      return execa('parallel-ssh', argv, { stdin: 'ignore' });
    },
    clush: clush(coldConfig),
    ansible: async (count) => {
      const argv = ['all', '-i', await inventory(count), '-f', String(count), '-m', 'raw', '-a', 'true'];
      const env = {
        ANSIBLE_SSH_ARGS: `-F ${coldConfig}`,
        ANSIBLE_HOME: join(folder, 'ansible'),
        ANSIBLE_LOCAL_TEMP: join(folder, 'ansible', 'tmp'),
        ANSIBLE_CONFIG: join(folder, 'ansible.cfg'),
        LC_ALL: 'C.UTF-8',
      };
      return execa('ansible', argv, { env, stdin: 'ignore' });
    },
    'ssh, kept open': ssh(warmConfig),
    'clush, kept open': clush(warmConfig),
  };
}
