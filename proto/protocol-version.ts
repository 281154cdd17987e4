/**
 * The version of the wire that this program speaks. It grows by one with a change that an older peer cannot
 * live with; what is merely added is announced by a capability instead.
 */
export const protocolVersion = 3;

/** What has been added to this version; sent at hello, both ways. */
export const capabilities: readonly string[] = ['mask-words', 'gauges'];

/** The metadata key in which a client states its protocol version with each call. */
export const protocolMetadataKey = 'kompose-protocol';
