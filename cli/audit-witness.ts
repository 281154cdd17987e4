import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeadWitness } from '../common/audit/head-witness.ts';
import { AuditKeys, parseKeyChanges } from '../common/audit/key-change.ts';
import { isSignedBy, keyFingerprint, type SignedMark } from '../common/audit/signed-head.ts';

/** In a context's folder: the fingerprint of the controller's audit key. */
export const auditKeyFile = 'audit-key';

/**
 * What a login knows of its controller's audit: the fingerprint of the key that signs it, and the newest head that it
 * has seen. The key is learnt at login, over a link that the token proves, or else with the first answer, over one that
 * the fleet's CA proves; from there on it changes only by what the known key itself has signed.
 */
export class AuditWitness {
  /** The newest head as it was when this program began. */
  readonly seen: SignedMark | undefined;
  readonly #keyPath: string;
  readonly #heads: HeadWitness;
  #fingerprint: string | undefined;
  #isBehind = false;

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
    else this.#isBehind = true;
  }

  /** The controller has shown a head of another key than the known one: it is to be asked how that came. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /**
   * Changes of the key, as the controller tells them. Followed only from the known key, and if they do not contradict what
   * was seen: what that key has signed since is not what a chain with the change could have.
   */
  follow(told: unknown): void {
    const changes = parseKeyChanges(told);
    if (changes === undefined || this.#fingerprint === undefined) return;
    const keys = AuditKeys.follow(changes, this.#fingerprint);
    if (keys === undefined || keys.newest === this.#fingerprint) return;
    const seen = this.#heads.newest;
    const isOther = changes.some(({ seq, hash }) => seq === seen?.seq && hash !== seen.hash);
    if (seen !== undefined && (isOther || !keys.hasSigned('head', seen))) return;
    this.#fingerprint = keys.newest;
    this.#isBehind = false;
    this.#replace(keys.newest);
  }

  #replace(fingerprint: string): void {
    const beside = `${this.#keyPath}.${randomBytes(6).toString('hex')}`;
    try {
      writeFileSync(beside, `${fingerprint}\n`, { mode: 0o600, flag: 'wx' });
      renameSync(beside, this.#keyPath);
    } catch {
      // It is followed anew next time.
      rmSync(beside, { force: true });
    }
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
