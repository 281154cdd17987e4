import type { Noun } from './noun.ts';

interface NounEntry {
  readonly summary: string;
  /** Its verbs and what they do; absent for what is not built yet and for the programs. */
  readonly load?: () => Promise<Noun>;
}

/** Section 8 of the command contract. */
export const nouns: Readonly<Record<string, NounEntry>> = {
  hosts: {
    summary: 'ls, show, label, remove',
    load: async () => (await import('./commands/index.ts')).hosts,
  },
  stacks: {
    summary: 'what the hosts have (as --list)',
    load: async () => (await import('./commands/index.ts')).stacks,
  },
  runs: {
    summary: 'ls, show, attach, cancel, retry',
    load: async () => (await import('./commands/index.ts')).runs,
  },
  audit: {
    summary: 'ls, show, export, verify, prune',
    load: async () => (await import('./commands/index.ts')).audit,
  },
  users: {
    summary: 'ls, add, role, remove',
    load: async () => (await import('./commands/index.ts')).users,
  },
  tokens: {
    summary: 'create, ls, revoke',
    load: async () => (await import('./commands/index.ts')).tokens,
  },
  whoami: {
    summary: 'name, role, controller, expiry',
    load: async () => (await import('./commands/index.ts')).whoami,
  },
  login: {
    summary: 'TOKEN: store your certificate',
    load: async () => (await import('./commands/index.ts')).login,
  },
  logout: {
    summary: 'forget it',
    load: async () => (await import('./commands/index.ts')).logout,
  },
  controller: {
    summary: 'init, serve, address, ca, audit-key, backup, restore, recover (kompose-controller)',
  },
  agent: { summary: 'join, serve, doctor, install (kompose-agent)' },
  roles: {
    summary: 'ls, show, set, remove, test',
    load: async () => (await import('./commands/index.ts')).roles,
  },
  doctor: {
    summary: 'is the fleet well? hosts, clocks, certificates',
    load: async () => (await import('./commands/index.ts')).doctor,
  },
  completion: {
    summary: 'bash, zsh, fish: complete words as you type',
    load: async () => (await import('./commands/index.ts')).completion,
  },
};

/** Words kept for nouns to come. */
export const reservedNouns: readonly string[] = [
  'schedule',
  'config',
  'context',
  'explain',
  'db',
  'git',
  'ui',
];
