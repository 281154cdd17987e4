import { createHash, type KeyObject } from 'node:crypto';
import { access, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseDuration } from '../common/durations.ts';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { defaultKeptBytes } from '../common/kept-output.ts';
import { loadPair, replacePair, type KeyFiles } from '../common/key-files.ts';
import { komposeHome } from '../common/kompose-home.ts';
import type { Limits } from './services/limits.ts';
import { ensurePrivateFolder, writePrivateFile } from '../common/private-files.ts';
import { createAuditKey, parseAuditKey, publicAuditKey } from './audit/audit-key.ts';
import type { KeptRuns } from './runs/prune-output.ts';
import { parseSize } from '../common/sizes.ts';
import type { KeyPair } from './identity/authority.ts';

/** What `controller init` decided. */
export interface ControllerConfig {
  /** HOST:PORT that agents and users dial. */
  readonly addresses: readonly string[];
}

export interface ControllerState {
  readonly config: ControllerConfig;
  /** The CA, which signs certificates. */
  readonly authority: KeyPair;
  /** While the CA is rotated, the one before: trusted still, and the server has a certificate of it too. */
  readonly retiring: KeyPair | undefined;
  /** Signs the audit's heads, PEM. */
  readonly auditKey: string;
}

export interface ControllerSettings {
  readonly folder: string;
  readonly heartbeatPeriodMs: number;
  readonly lostAfterMs: number;
  /** How long certificates are valid. */
  readonly hostCertificateMs: number;
  readonly userCertificateMs: number;
  /** How often the controller makes itself a new certificate, if not once a day. */
  readonly ownRenewalMs?: number;
  /** In place of the usual ones. */
  readonly limits?: Partial<Limits>;
  /** Of each task's output so much is kept: its first half and its newest. */
  readonly keptOutputBytes: number;
  /** Of all runs that have ended. */
  readonly keptRuns: KeptRuns;
}

/** Reads the environment; only main calls this. */
export function readSettings(): ControllerSettings {
  const { env } = process;
  return {
    folder: join(komposeHome(env, process.getuid?.(), homedir()), 'controller'),
    heartbeatPeriodMs: parseDuration(env['KOMPOSE_HEARTBEAT'] ?? '5s'),
    lostAfterMs: parseDuration(env['KOMPOSE_LOST_AFTER'] ?? '2m'),
    hostCertificateMs: parseDuration(env['KOMPOSE_HOST_CERTIFICATE'] ?? '90d'),
    userCertificateMs: parseDuration(env['KOMPOSE_USER_CERTIFICATE'] ?? '365d'),
    keptOutputBytes: keptOutput(env['KOMPOSE_KEPT_OUTPUT']),
    keptRuns: {
      ageMs: parseDuration(env['KOMPOSE_KEPT_RUNS_AGE'] ?? '90d'),
      bytes: parseSize(env['KOMPOSE_KEPT_RUNS_SIZE'] ?? '10GiB', 'KOMPOSE_KEPT_RUNS_SIZE'),
    },
  };
}

/** At least so much that what is under way to a watcher fits. */
const leastKeptBytes = 64 * 1024;

function keptOutput(text: string | undefined): number {
  if (text === undefined) return defaultKeptBytes;
  const size = parseSize(text, 'KOMPOSE_KEPT_OUTPUT');
  if (size >= leastKeptBytes) return size;
  throw new KomposeError('usage', `KOMPOSE_KEPT_OUTPUT is 64KiB or more, not ${text}`);
}

const files = {
  authorityKey: 'ca.key',
  authorityCertificate: 'ca.crt',
  retiringKey: 'ca.old.key',
  retiringCertificate: 'ca.old.crt',
  auditKey: 'audit.key',
  config: 'config.json',
};

export async function isInitialised(folder: string): Promise<boolean> {
  return access(configPath(folder)).then(
    () => true,
    () => false,
  );
}

/** Without its configuration, which is written last, nothing was initialised. */
export async function saveState(
  folder: string,
  { config, authority, auditKey }: Omit<ControllerState, 'retiring'>,
): Promise<void> {
  await ensurePrivateFolder(folder);
  await writePrivateFile(join(folder, files.authorityKey), authority.privateKey);
  await writePrivateFile(join(folder, files.authorityCertificate), authority.certificate);
  await writePrivateFile(join(folder, files.auditKey), auditKey);
  await saveConfig(folder, config);
}

export async function saveConfig(folder: string, config: ControllerConfig): Promise<void> {
  await writePrivateFile(configPath(folder), `${JSON.stringify(config, undefined, 2)}\n`);
}

/*
 * INVARIANT: at every moment, also in the middle of a change, `loadState` gives the CA that signs, and the one before
 * for as long as somebody may hold a certificate of it. One that was copied but not replaced yet is no rotation.
 */

/** Puts a new CA in the place of `before`, which is retired. */
export async function saveRotation(folder: string, before: KeyPair, next: KeyPair): Promise<void> {
  await writePrivateFile(join(folder, files.retiringKey), before.privateKey);
  await writePrivateFile(join(folder, files.retiringCertificate), before.certificate);
  await replacePair(authorityFiles(folder), next);
}

/** The CA that was retired is no more. */
export async function dropRetiring(folder: string): Promise<void> {
  await rm(join(folder, files.retiringCertificate), { force: true });
  await rm(join(folder, files.retiringKey), { force: true });
}

function authorityFiles(folder: string): KeyFiles {
  return {
    key: join(folder, files.authorityKey),
    certificate: join(folder, files.authorityCertificate),
  };
}

function configPath(folder: string): string {
  return join(folder, files.config);
}

/** What may change while a controller serves. */
export function changingFiles(folder: string): string[] {
  const { config, authorityCertificate, retiringCertificate } = files;
  return [config, authorityCertificate, retiringCertificate].map((file) => join(folder, file));
}

/** Throws `failed` with the next step when there is no state. An older state gets its audit key here. */
export async function loadState(folder: string): Promise<ControllerState> {
  try {
    const config = await readFile(configPath(folder), 'utf8');
    // The retired one first: until the CA is replaced the two are one.
    const retiring = await loadRetiring(folder);
    const authority = loadPair(authorityFiles(folder));
    const isRotating = retiring !== undefined && retiring.certificate !== authority.certificate;
    return {
      config: JSON.parse(config) as ControllerConfig,
      authority,
      retiring: isRotating ? retiring : undefined,
      auditKey: await loadAuditKey(join(folder, files.auditKey)),
    };
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    const message = `there is no controller in ${folder}: kompose controller init --address HOST:PORT`;
    throw new KomposeError('failed', message, { cause: error });
  }
}

async function loadRetiring(folder: string): Promise<KeyPair | undefined> {
  try {
    const key = join(folder, files.retiringKey);
    return loadPair({ key, certificate: join(folder, files.retiringCertificate) });
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** A key that is about to sign the audit, beside the one that does; `publicKey` is its public half. */
export function writeNextAuditKey(folder: string, publicKey: string, pem: string): Promise<void> {
  return writePrivateFile(nextAuditKey(folder, publicKey), pem);
}

/** It signs from now on: it takes the place of the one before, which is no more. */
export async function settleAuditKey(folder: string, publicKey: string): Promise<void> {
  try {
    await rename(nextAuditKey(folder, publicKey), join(folder, files.auditKey));
  } catch (error) {
    // Somebody else has seen to that.
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}

/**
 * The audit key with this public half: the change that has made it the one that signs may have been cut off before it got
 * to its place. Throws `failed` where there is none.
 */
export async function findAuditKey(folder: string, publicKey: string): Promise<KeyObject> {
  const place = join(folder, files.auditKey);
  const next = nextAuditKey(folder, publicKey);
  // It may be moved from one to the other meanwhile.
  for (const path of [place, next, place]) {
    const key = await readAuditKey(path);
    if (key === undefined || publicAuditKey(key) !== publicKey) continue;
    if (path === next) await settleAuditKey(folder, publicKey);
    return key;
  }
  const message = `${place} is not the key that signs the audit since it was changed: restore a backup that has it`;
  throw new KomposeError('failed', message);
}

function nextAuditKey(folder: string, publicKey: string): string {
  return join(folder, nextAuditKeyFile(publicKey));
}

/** Its name says which it is: two changes at once do not write over one another's. */
export function nextAuditKeyFile(publicKey: string): string {
  return `audit.${createHash('sha256').update(publicKey).digest('hex').slice(0, 16)}.key`;
}

async function readAuditKey(path: string): Promise<KeyObject | undefined> {
  try {
    return parseAuditKey(await readFile(path, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function loadAuditKey(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    const key = createAuditKey();
    await writePrivateFile(path, key);
    return key;
  }
}
