import { readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseDuration } from '../common/durations.ts';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { loadPair, replacePair, type KeyFiles } from '../common/key-files.ts';
import { komposeHome } from '../common/kompose-home.ts';
import { ensurePrivateFolder, writePrivateFile } from '../common/private-files.ts';
import { createSealingSeed, sealingKey, type SealingKey } from '../common/sealing.ts';
import type { Identity } from '../proto/enrol.ts';

/** What `agent join` learned. */
export interface AgentConfig {
  readonly name: string;
  /** Absolute path of the stacks root. */
  readonly stacks: string;
  /** HOST:PORT of the controller, to be tried in order. */
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** The fingerprint of the key that the roster must begin with: whose commands are executed here. */
  readonly root: string;
}

/** The agent's environment and folder; read once, by main. */
export interface AgentEnvironment {
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

/** How long the controller may be away before what needs a watcher ends. Throws `usage`. */
export function readPatience(env: Readonly<Record<string, string>>): number {
  return parseDuration(env['KOMPOSE_LOST_AFTER'] ?? '2m');
}

export function readEnvironment(): AgentEnvironment {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  return { env, folder: join(komposeHome(env, process.getuid?.(), homedir()), 'agent') };
}

const identityFiles = { privateKey: 'agent.key', certificate: 'agent.crt', caCertificate: 'ca.crt' } as const;
const configFile = 'config.json';

/** Keeps a fresh membership, the configuration last: an agent without it has not joined. */
export async function saveMembership(folder: string, config: AgentConfig, identity: Identity): Promise<void> {
  await ensurePrivateFolder(folder);
  await rm(rosterPath(folder), { force: true });
  await rm(sealingSeedPath(folder), { force: true });
  for (const part of ['privateKey', 'certificate', 'caCertificate'] as const) {
    await writePrivateFile(join(folder, identityFiles[part]), identity[part]);
  }
  await writeConfig(folder, config);
}

/** What the controller keeps for this host opens with it. It is made at the first start, and anew with each join. */
export async function loadSealingKey(folder: string): Promise<SealingKey> {
  const path = sealingSeedPath(folder);
  const kept = await readFile(path).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error;
    return undefined;
  });
  const seed = kept ?? createSealingSeed();
  if (kept === undefined) await writePrivateFile(path, seed);
  return sealingKey(seed);
}

function sealingSeedPath(folder: string): string {
  return join(folder, 'sealing.key');
}

/** The roster as this host has last seen it. */
export function rosterPath(folder: string): string {
  return join(folder, 'roster');
}

/**
 * From the agent's next start on a roster with another beginning is believed, and what was seen of the one before is
 * forgotten. Throws what `loadMembership` throws, and `usage` for what is no fingerprint.
 */
export async function trustRoot(folder: string, root: string): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(root)) {
    const message =
      'this is not a fingerprint, 64 digits of 0-9 and a-f: an admin sees it with kompose whoami';
    throw new KomposeError('usage', message);
  }
  const { config } = await loadMembership(folder);
  await rm(rosterPath(folder), { force: true });
  await writeConfig(folder, { ...config, root });
}

function writeConfig(folder: string, config: AgentConfig): Promise<void> {
  return writePrivateFile(join(folder, configFile), `${JSON.stringify(config, undefined, 2)}\n`);
}

/** Throws `failed` with the next step if this machine has not joined. */
export async function loadMembership(folder: string): Promise<{ config: AgentConfig; identity: Identity }> {
  const text = await readFile(join(folder, configFile), 'utf8').catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error;
    const message = `this machine has not joined a fleet (no ${join(folder, configFile)}): kompose agent join TOKEN`;
    throw new KomposeError('failed', message, { cause: error });
  });
  const caCertificate = await readFile(join(folder, identityFiles.caCertificate), 'utf8');
  const { privateKey, certificate } = loadPair(keyFiles(folder));
  return {
    config: parseConfig(text, join(folder, configFile)),
    identity: { privateKey, certificate, caCertificate },
  };
}

/** The stacks root of the agent with this folder; undefined where there is none, or none of ours. */
export async function stacksRootOf(folder: string): Promise<string | undefined> {
  const path = join(folder, configFile);
  try {
    return parseConfig(await readFile(path, 'utf8'), path).stacks;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'EACCES')) return undefined;
    throw error;
  }
}

/** Puts a renewed certificate in the place of the one that is there, and then whom to trust. */
export async function saveRenewed(folder: string, identity: Identity): Promise<void> {
  await replacePair(keyFiles(folder), identity);
  await writePrivateFile(join(folder, identityFiles.caCertificate), identity.caCertificate);
}

function keyFiles(folder: string): KeyFiles {
  const { privateKey, certificate } = identityFiles;
  return { key: join(folder, privateKey), certificate: join(folder, certificate) };
}

function parseConfig(text: string, path: string): AgentConfig {
  const bad = (cause?: unknown): KomposeError =>
    new KomposeError('failed', `${path} is damaged: join again, or mend it`, { cause });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw bad(error);
  }
  if (!isConfig(config)) throw bad();
  return config;
}

function isConfig(value: unknown): value is AgentConfig {
  if (typeof value !== 'object' || value === null) return false;
  const { name, stacks, addresses, root } = value as Partial<Record<keyof AgentConfig, unknown>>;
  const areTexts = [name, stacks, root].every((field) => typeof field === 'string');
  return areTexts && Array.isArray(addresses) && addresses.length > 0;
}
