import type { Logger } from 'pino';
import { createBackoff } from '../../common/backoff.ts';
import { KomposeError } from '../../common/errors.ts';
import { renewIdentity, type Identity } from '../../proto/enrol.ts';

const firstPauseMs = 5_000;
const longestPauseMs = 10 * 60_000;

/*
 * The certificate that this agent is known by, which it renews when the controller says that it is time.
 *
 * INVARIANTS
 * - `current` is on the disk before a link uses it.
 * - One renewal at a time; after one that failed a pause, whatever the controller says meanwhile.
 */
export class AgentCertificate {
  readonly #save: (identity: Identity) => Promise<void>;
  readonly #log: Logger;
  readonly #backoff = createBackoff(firstPauseMs, longestPauseMs);
  #current: Identity;
  #isRenewing = false;
  #notBeforeMs = 0;

  constructor(identity: Identity, save: (identity: Identity) => Promise<void>, log: Logger) {
    this.#current = identity;
    this.#save = save;
    this.#log = log;
  }

  get current(): Identity {
    return this.#current;
  }

  /**
   * The controller at `address` says that it is time. True once there is a new certificate, for the next link; false
   * if it is not to be had now. Never rejects.
   */
  async renew(address: string): Promise<boolean> {
    if (this.#isRenewing || performance.now() < this.#notBeforeMs) return false;
    this.#isRenewing = true;
    try {
      const renewed = await renewIdentity(address, this.#current);
      await this.#save(renewed);
      this.#current = renewed;
      this.#backoff.reset();
      this.#log.info({ address }, 'the certificate of this host is renewed');
      return true;
    } catch (error) {
      const { message } = KomposeError.from(error);
      this.#notBeforeMs = performance.now() + this.#backoff.next();
      this.#log.warn({ address, why: message }, 'the certificate of this host cannot be renewed yet');
      return false;
    } finally {
      this.#isRenewing = false;
    }
  }
}
