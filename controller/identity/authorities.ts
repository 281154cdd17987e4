import { trustOf } from '../../proto/trust.ts';
import { authorityFingerprint, type KeyPair } from './authority.ts';

/** A CA, and while it is rotated the one before. */
interface Pairs {
  readonly authority: KeyPair;
  readonly retiring: KeyPair | undefined;
}

/** The fleet's CAs as they are now: they change while the controller serves. */
export class Authorities {
  #pairs: Pairs;
  #ids: readonly string[];

  constructor(pairs: Pairs) {
    this.#pairs = pairs;
    this.#ids = trustOf(this.caCertificates);
  }

  use(pairs: Pairs): void {
    this.#pairs = pairs;
    this.#ids = trustOf(this.caCertificates);
  }

  /** It signs all certificates of hosts and users. */
  get signing(): KeyPair {
    return this.#pairs.authority;
  }

  /** All that are trusted, the one that signs last. */
  get all(): readonly KeyPair[] {
    const { authority, retiring } = this.#pairs;
    return retiring === undefined ? [authority] : [retiring, authority];
  }

  /** What everybody is to trust, PEM. */
  get caCertificates(): string {
    return this.all.map(({ certificate }) => certificate).join('');
  }

  /** The same, by its ids. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  /** What tokens carry. */
  get fingerprint(): string {
    return authorityFingerprint(this.signing.certificate);
  }
}
