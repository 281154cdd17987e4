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
    load: async () => (await import('./commands/hosts.ts')).hosts,
  },
  stacks: {
    summary: 'what the hosts have (as --list)',
    load: async () => (await import('./commands/stacks.ts')).stacks,
  },
  runs: {
    summary: 'ls, show, attach, cancel, retry',
    load: async () => (await import('./commands/runs.ts')).runs,
  },
  audit: {
    summary: 'ls, show, export, verify, prune',
    load: async () => (await import('./commands/audit.ts')).audit,
  },
  users: {
    summary: 'ls, add, role, remove',
    load: async () => (await import('./commands/users.ts')).users,
  },
  tokens: {
    summary: 'create, ls, revoke',
    load: async () => (await import('./commands/tokens.ts')).tokens,
  },
  whoami: {
    summary: 'name, role, controller, expiry',
    load: async () => (await import('./commands/whoami.ts')).whoami,
  },
  login: {
    summary: 'TOKEN: store your certificate',
    load: async () => (await import('./commands/login.ts')).login,
  },
  logout: {
    summary: 'forget it',
    load: async () => (await import('./commands/logout.ts')).logout,
  },
  controller: {
    summary: 'init, serve, address, ca, audit-key, backup, restore, recover (kompose-controller)',
  },
  agent: { summary: 'join, serve, doctor, install (kompose-agent)' },
  roles: {
    summary: 'ls, show, set, remove, test',
    load: async () => (await import('./commands/roles.ts')).roles,
  },
  doctor: {
    summary: 'is the fleet well? hosts, clocks, certificates',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  completion: {
    summary: 'bash, zsh, fish: complete words as you type',
    load: async () => (await import('./commands/completion.ts')).completion,
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

/** Whether a first word is none of a pattern. */
export function isNounLike(word: string): boolean {
  return Object.hasOwn(nouns, word) || reservedNouns.includes(word);
}
