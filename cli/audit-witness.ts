import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeadWitness } from '../common/audit/head-witness.ts';
import { isSignedBy, keyFingerprint, type SignedMark } from '../common/audit/signed-head.ts';

/** In a context's folder: the fingerprint of the controller's audit key. */
export const auditKeyFile = 'audit-key';

/**
 * What a login knows of its controller's audit: the fingerprint of the key that signs it, and the newest head that it
 * has seen. The key is learnt at login, over a link that the token proves, or else with the first answer, over one that
 * the fleet's CA proves; once known it never changes.
 */
export class AuditWitness {
  /** The newest head as it was when this program began. */
  readonly seen: SignedMark | undefined;
  readonly #keyPath: string;
  readonly #heads: HeadWitness;
  #fingerprint: string | undefined;

  /** `folder` is the context's. */
  constructor(folder: string) {
    this.#keyPath = join(folder, auditKeyFile);
    this.#fingerprint = readKey(this.#keyPath);
    this.#heads = new HeadWitness(join(folder, 'audit-head.json'));
    this.seen = this.#heads.newest;
  }

  /** Of the controller's audit key; undefined if no controller has told yet. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /** From an authenticated controller. A head that the known key did not sign is not kept. */
  saw(head: SignedMark): void {
    this.#fingerprint ??= this.#learn(keyFingerprint(head.key));
    if (isSignedBy('head', head, this.#fingerprint)) this.#heads.saw(head);
  }

  #learn(fingerprint: string): string {
    try {
      writeFileSync(this.#keyPath, `${fingerprint}\n`, { mode: 0o600, flag: 'wx' });
    } catch {
      // It is learnt anew next time.
    }
    return fingerprint;
  }
}

function readKey(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
