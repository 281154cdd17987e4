import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseDuration } from '../common/durations.ts';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { defaultKeptBytes } from '../common/kept-output.ts';
import { komposeHome } from '../common/kompose-home.ts';
import type { Limits } from './services/limits.ts';
import { ensurePrivateFolder, writePrivateFile } from '../common/private-files.ts';
import { createAuditKey } from './audit/audit-key.ts';
import { parseSize } from '../common/sizes.ts';
import type { KeyPair } from './identity/authority.ts';

/** What `controller init` decided. */
export interface ControllerConfig {
  /** HOST:PORT that agents and users dial. */
  readonly addresses: readonly string[];
}

export interface ControllerState {
  readonly config: ControllerConfig;
  readonly authority: KeyPair;
  readonly server: KeyPair;
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
  /** In place of the usual ones. */
  readonly limits?: Partial<Limits>;
  /** Of each task's output so much is kept: its first half and its newest. */
  readonly keptOutputBytes: number;
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
  serverKey: 'server.key',
  serverCertificate: 'server.crt',
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
  { config, authority, server, auditKey }: ControllerState,
): Promise<void> {
  await ensurePrivateFolder(folder);
  await writePrivateFile(join(folder, files.authorityKey), authority.privateKey);
  await writePrivateFile(join(folder, files.authorityCertificate), authority.certificate);
  await writePrivateFile(join(folder, files.auditKey), auditKey);
  await saveServer(folder, { config, server });
}

/** Writes them in place of those that are there, the configuration last: who watches that finds all of it. */
export async function saveServer(
  folder: string,
  { config, server }: Pick<ControllerState, 'config' | 'server'>,
): Promise<void> {
  await writePrivateFile(join(folder, files.serverKey), server.privateKey);
  await writePrivateFile(join(folder, files.serverCertificate), server.certificate);
  await writePrivateFile(configPath(folder), `${JSON.stringify(config, undefined, 2)}\n`);
}

export function configPath(folder: string): string {
  return join(folder, files.config);
}

/** Throws `failed` with the next step when there is no state. An older state gets its audit key here. */
export async function loadState(folder: string): Promise<ControllerState> {
  const read = (file: string): Promise<string> => readFile(join(folder, file), 'utf8');
  try {
    const [config, authorityKey, authorityCertificate, serverKey, serverCertificate] = await Promise.all([
      read(files.config),
      read(files.authorityKey),
      read(files.authorityCertificate),
      read(files.serverKey),
      read(files.serverCertificate),
    ]);
    return {
      config: JSON.parse(config) as ControllerConfig,
      authority: { privateKey: authorityKey, certificate: authorityCertificate },
      server: { privateKey: serverKey, certificate: serverCertificate },
      auditKey: await loadAuditKey(join(folder, files.auditKey)),
    };
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    const message = `there is no controller in ${folder}: kompose controller init --address HOST:PORT`;
    throw new KomposeError('failed', message, { cause: error });
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
