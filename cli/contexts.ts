import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { loadPair, replacePair, type KeyFiles } from '../common/key-files.ts';
import { nearest } from '../common/nearest.ts';
import { ensurePrivateFolder, writePrivateFile } from '../common/private-files.ts';
import { quoted } from '../common/quoted.ts';
import { signingKeyFromPem, signingKeyToPem, type SigningKey } from '../common/signing/signing-key.ts';
import { auditKeyFile } from './audit-witness.ts';

/*
 * USER-FOLDER/current                    the name of the context in use
 * USER-FOLDER/contexts/NAME/context.json addresses, name, role, root
 * USER-FOLDER/contexts/NAME/{ca.crt,client.crt,client.key}
 * USER-FOLDER/contexts/NAME/{signing.key,roster}: what this login signs with, and the newest roster that it has seen
 * USER-FOLDER/contexts/NAME/{audit-key,audit-head.json}: see audit-witness.ts
 * A context's folder is written beside its place and renamed: a key never stands beside another's certificate.
 *
 * They are read at once: each command waits for these few small files, and has nothing else to do meanwhile. Node's pool of
 * threads, which is not there yet, would take longer than the files.
 */

const signingKeyFile = 'signing.key';

/** A login: which controller, as whom. */
export interface Context {
  /** HOST:PORT, to be tried in order. */
  readonly addresses: readonly string[];
  readonly name: string;
  readonly role: string;
  /** PEM. */
  readonly caCertificate: string;
  readonly certificate: string;
  readonly privateKey: string;
  /** What this user signs their commands with; it stays when the certificate is renewed. */
  readonly signingKey: SigningKey;
  /** The fingerprint of the key that the roster begins with: it tells whose signatures count. */
  readonly root: string;
}

/** One that is kept in a folder. */
export interface StoredContext extends Context {
  readonly folder: string;
}

/** Throws `usage`. */
export function checkContextName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return name;
  const rule = 'begin with a letter or digit; then letters, digits, ".", "_", "-", 63 at most';
  throw new KomposeError('usage', `bad context name ${quoted(name)}: ${rule}`);
}

/** Throws `failed` for a folder that others may look into. */
export async function ensureUserFolder(userFolder: string): Promise<void> {
  await ensurePrivateFolder(userFolder);
  await ensurePrivateFolder(join(userFolder, 'contexts'));
}

/** Stores the context, with the fingerprint of the controller's audit key, in place of one of that name, and makes it the current one. */
export async function saveContext(
  userFolder: string,
  contextName: string,
  context: Context,
  auditKey: string | undefined,
): Promise<void> {
  await ensureUserFolder(userFolder);
  const folder = folderOf(userFolder, contextName);
  const beside = `${folder}.${randomBytes(6).toString('hex')}`;
  await ensurePrivateFolder(beside);
  const { addresses, name, role, root } = context;
  await writePrivateFile(
    join(beside, 'context.json'),
    `${JSON.stringify({ addresses, name, role, root })}\n`,
  );
  await writePrivateFile(join(beside, signingKeyFile), signingKeyToPem(context.signingKey));
  await writePrivateFile(join(beside, 'ca.crt'), context.caCertificate);
  await writePrivateFile(join(beside, 'client.crt'), context.certificate);
  await writePrivateFile(join(beside, 'client.key'), context.privateKey);
  if (auditKey !== undefined) await writePrivateFile(join(beside, auditKeyFile), `${auditKey}\n`);
  await rm(folder, { recursive: true, force: true });
  await rename(beside, folder);
  await writePrivateFile(join(userFolder, 'current'), `${contextName}\n`);
}

/** The context named, else the current one. Throws `unauthenticated` if there is none, `failed` if it is damaged. */
export async function loadContext(
  userFolder: string,
  contextName: string | undefined,
): Promise<StoredContext> {
  const name = contextName ?? currentContext(userFolder);
  if (name === undefined) throw notLoggedIn();
  const folder = folderOf(userFolder, checkContextName(name));
  try {
    return readContext(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw await unknownContext(userFolder, name, error);
    if (error instanceof SyntaxError) throw damaged(folder, error);
    throw error;
  }
}

function readContext(folder: string): StoredContext {
  refuseOpenKey(folder);
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
  return {
    ...parseDescription(read('context.json')),
    caCertificate: read('ca.crt'),
    ...loadPair(contextKeyFiles(folder)),
    signingKey: signingKeyFromPem(read(signingKeyFile)),
    folder,
  };
}

/** Puts a renewed certificate in the place of the one that is there, and then whom to trust. */
export async function keepRenewed(
  folder: string,
  identity: Pick<Context, 'privateKey' | 'certificate' | 'caCertificate'>,
): Promise<void> {
  await replacePair(contextKeyFiles(folder), identity);
  await writePrivateFile(join(folder, 'ca.crt'), identity.caCertificate);
}

/** Of a stored context's folder. */
export function contextKeyFiles(folder: string): KeyFiles {
  return { key: join(folder, 'client.key'), certificate: join(folder, 'client.crt') };
}

/** Forgets the context named, else the current one; gives its name. */
export async function removeContext(userFolder: string, contextName: string | undefined): Promise<string> {
  const current = currentContext(userFolder);
  const name = contextName ?? current;
  if (name === undefined) throw notLoggedIn();
  const folder = folderOf(userFolder, checkContextName(name));
  try {
    await rm(folder, { recursive: true });
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw await unknownContext(userFolder, name, error);
    throw error;
  }
  if (name === current) await rm(join(userFolder, 'current'), { force: true });
  return name;
}

/** Of all logins; empty if there are none. */
export function contextNames(userFolder: string): Promise<string[]> {
  return readdir(join(userFolder, 'contexts')).catch(() => []);
}

function currentContext(userFolder: string): string | undefined {
  try {
    return readFileSync(join(userFolder, 'current'), 'utf8').trim();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function folderOf(userFolder: string, contextName: string): string {
  return join(userFolder, 'contexts', contextName);
}

function refuseOpenKey(folder: string): void {
  for (const path of [folder, join(folder, 'client.key'), join(folder, signingKeyFile)]) {
    const { mode } = statSync(path);
    if ((mode & 0o077) === 0) continue;
    throw new KomposeError('failed', `${path} is open to others: run chmod go= ${path}, or log in anew`);
  }
}

function parseDescription(text: string): Pick<Context, 'addresses' | 'name' | 'role' | 'root'> {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) throw new SyntaxError('not an object');
  const none = { addresses: undefined, name: undefined, role: undefined, root: undefined };
  const { addresses, name, role, root } = { ...none, ...parsed };
  if (!isTextList(addresses) || typeof name !== 'string' || typeof role !== 'string') {
    throw new SyntaxError('a field is missing');
  }
  if (typeof root !== 'string') throw new SyntaxError('it knows no roster');
  return { addresses, name, role, root };
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}

function notLoggedIn(): KomposeError {
  const message =
    'not logged in to a controller: run kompose login TOKEN (an admin makes one: kompose tokens create)';
  return new KomposeError('unauthenticated', message);
}

async function unknownContext(userFolder: string, name: string, cause: unknown): Promise<KomposeError> {
  const known = await contextNames(userFolder);
  const [meant] = nearest(name, known);
  const hint =
    meant === undefined ? `run kompose login TOKEN --context ${name}` : `did you mean ${quoted(meant)}?`;
  return new KomposeError('unauthenticated', `not logged in: there is no context ${quoted(name)}; ${hint}`, {
    cause,
  });
}

function damaged(folder: string, cause: Error): KomposeError {
  return new KomposeError('failed', `${folder} is damaged (${cause.message}): log in anew`, { cause });
}

/** Whether somebody has logged in to a controller here. */
export function hasContext(userFolder: string): boolean {
  return existsSync(join(userFolder, 'current'));
}
