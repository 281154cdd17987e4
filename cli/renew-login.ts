import { X509Certificate } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { renewalDueMs, type CertificateLife } from '../common/certificate-life.ts';
import { isSystemError } from '../common/errors.ts';
import { certificateNoticeMs } from '../common/finding.ts';
import { loadPair } from '../common/key-files.ts';
import { renewIdentity } from '../proto/enrol.ts';
import { contextKeyFiles, keepRenewed, type StoredContext } from './contexts.ts';

/** A renewal that was killed holds up others for so long. */
const staleMs = 60_000;

/** Whether a login is past two thirds of its life. */
export function isRenewalDue({ certificate, name }: StoredContext): boolean {
  return Date.now() >= renewalDueMs(lifeOf(certificate), name);
}

function lifeOf(certificate: string): CertificateLife {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}

/**
 * Renews the certificate of a login, and whom it trusts, in its place; the call that is under way goes on with the old
 * one. Where that cannot be, `warn` is told in the last two weeks. Never rejects.
 */
export async function renewLogin(
  context: StoredContext,
  address: string,
  warn: (text: string) => void,
): Promise<void> {
  const { notAfterMs } = lifeOf(context.certificate);
  const lock = join(context.folder, 'renewing');
  try {
    if (!(await take(lock))) return;
    // Another command may have renewed it meanwhile.
    const { certificate } = loadPair(contextKeyFiles(context.folder));
    if (certificate === context.certificate)
      await keepRenewed(context.folder, await renewIdentity(address, context));
    await rm(lock, { force: true });
  } catch {
    await rm(lock, { force: true }).catch(() => undefined);
    const days = Math.floor((notAfterMs - Date.now()) / 86_400_000);
    if (notAfterMs - Date.now() > certificateNoticeMs) return;
    warn(
      `your certificate ends in ${days} days and cannot be renewed: ask an admin for a token, then kompose login`,
    );
  }
}

/** Of two renewals at once, one would put away the certificate that the controller knows. */
async function take(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
  const { mtimeMs } = await stat(lock);
  if (Date.now() - mtimeMs > staleMs) await rm(lock, { force: true });
  return false;
}
