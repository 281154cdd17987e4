/** What one peer may take of the controller at a time. */
export interface PeerLimits {
  /** Calls that are open at once. */
  readonly openCalls: number;
  readonly callsPerSecond: number;
  /** Calls at once after a silence. */
  readonly burst: number;
}

/** Every bound on what peers may do, in one place. */
export interface Limits {
  /** A connection is a newcomer until a call over it has shown a certificate; so long it may take. */
  readonly newcomerMs: number;
  /** Of that, for the TLS handshake. */
  readonly handshakeMs: number;
  /** Newcomers at a time; where others wait, whoever lingers makes room. */
  readonly newcomers: number;
  /** Connections that wait, unread, to become newcomers; one more is cut. */
  readonly waiting: number;
  /** What a connection without a certificate may send, all its calls together. */
  readonly newcomerBytes: number;
  /** A connection with a certificate, without an open call. */
  readonly idleMs: number;
  /** Each connection is asked so often whether it is alive. */
  readonly keepaliveMs: number;
  /** So long its answer may take. */
  readonly keepaliveAnswerMs: number;
  readonly streamsPerConnection: number;
  /** Connections at a time that have shown the same certificate. */
  readonly connectionsPerCertificate: number;
  /**
   * Of a certificate: messages that are not whole, or not taken yet, and answers that are not read. The call that goes
   * over it is ended.
   */
  readonly heldBytes: number;
  /** Messages that a host has not read, of its link or of a task's; more, and its connection is cut. */
  readonly unreadBytes: number;
  /** Messages of a host's link that are dealt with at a time; the next are not taken from the network yet. */
  readonly messagesUnderWay: number;
  /** Of all hosts together: those of a larger fleet each give fewer signs of life. */
  readonly heartbeatsASecond: number;
  /** Runs that begin on a host itself: more have to wait. */
  readonly localRuns: { readonly aSecond: number; readonly burst: number };
  /** All headers of a call, as HTTP/2 counts them. */
  readonly headerBytes: number;
  /** For an address, of the calls without a certificate. */
  readonly stranger: PeerLimits;
  /** For a certificate. */
  readonly user: PeerLimits;
  /** Likewise; each task of the host that has much to tell, or stdin, has a call of its own. */
  readonly host: PeerLimits;
  /** Joins and logins of all addresses together. */
  readonly enrolment: Omit<PeerLimits, 'openCalls'>;
  /** In this time so many refusals of a kind to the same peer make a record each, and all others one together. */
  readonly refusalWindowMs: number;
  readonly refusalRecords: number;
  /** Addresses without a certificate that have records of their own in that time; the others share one. */
  readonly refusedAddresses: number;
}

export const defaultLimits: Limits = {
  newcomerMs: 30_000,
  handshakeMs: 20_000,
  newcomers: 1_000,
  waiting: 20_000,
  newcomerBytes: 64 * 1024,
  idleMs: 300_000,
  keepaliveMs: 30_000,
  keepaliveAnswerMs: 10_000,
  streamsPerConnection: 1_000,
  connectionsPerCertificate: 250,
  heldBytes: 64 * 1024 * 1024,
  unreadBytes: 16 * 1024 * 1024,
  messagesUnderWay: 16,
  heartbeatsASecond: 250,
  localRuns: { aSecond: 20, burst: 500 },
  headerBytes: 16 * 1024,
  stranger: { openCalls: 50, callsPerSecond: 10, burst: 100 },
  user: { openCalls: 250, callsPerSecond: 200, burst: 1_000 },
  host: { openCalls: 1_000, callsPerSecond: 500, burst: 5_000 },
  enrolment: { callsPerSecond: 40, burst: 200 },
  refusalWindowMs: 60_000,
  refusalRecords: 5,
  refusedAddresses: 32,
};
