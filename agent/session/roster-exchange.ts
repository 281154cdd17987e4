import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import { entriesAMessage } from '../../common/roster/entry.ts';
import type { RosterFile } from '../../common/roster/roster-file.ts';
import type { Welcome } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { RosterPart } from '../../proto/gen/kompose/v1/signing.ts';
import type { SendMessage } from './send-message.ts';

/** Brings this host's roster and the controller's to the same length; another one is not taken. */
export class RosterExchange {
  readonly #roster: RosterFile;
  readonly #send: SendMessage;
  readonly #log: Logger;

  constructor(roster: RosterFile, send: SendMessage, log: Logger) {
    this.#roster = roster;
    this.#send = send;
    this.#log = log;
  }

  /** What the controller lacks of the roster, and a warning where it has another one. */
  give({ rosterRoot, rosterCount, rosterHead }: Welcome): void {
    const { root, current } = this.#roster;
    if (rosterRoot !== root) this.#doubt(otherRoot(rosterRoot, root));
    else if (rosterCount === current.count && rosterHead !== current.head)
      this.#doubt('it differs from the one that this host has seen, though it is as long');
    else if (rosterCount < current.count) {
      for (let after = rosterCount; after < current.count; after += entriesAMessage) {
        const entries = current.entries.slice(after, after + entriesAMessage);
        this.#send({ $case: 'roster', value: { after, entries } });
      }
    }
  }

  /** What this host lacks of it. Logs why where it is not taken. */
  take({ after, entries }: RosterPart): void {
    try {
      this.#roster.take(after, entries);
    } catch (error) {
      this.#doubt(KomposeError.from(error).message);
    }
  }

  #doubt(why: string): void {
    this.#log.error({ why }, "the controller's roster is not taken: nobody's signature counts by it");
  }
}

function otherRoot(theirs: string, ours: string): string {
  const told = theirs === '' ? 'the controller has no roster' : `it begins with the key ${theirs}`;
  const way = `if an admin says that it is right: kompose agent trust ${theirs || 'FINGERPRINT'}`;
  return `${told}; this host trusts ${ours}; ${way}`;
}
