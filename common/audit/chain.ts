import { hash as digest } from 'node:crypto';
import { jsonLine } from '../printable.ts';

/*
 * The form of the audit's chain, which anybody can verify with a SHA-256.
 *
 * A record is one line of JSON:
 *
 *     {"seq":7,"type":…,"time":…,…,"previous":"<64 hex>","hash":"<64 hex>"}
 *
 * `seq` counts from 1 without gaps. `hash` is the SHA-256 of the line's UTF-8 bytes without its own member, that is of
 * `{"seq":7,…,"previous":"<64 hex>"}`; `previous` is the `hash` of the record before, 64 zeros for the first. Bytes are
 * taken as they stand: a record is never parsed and written anew.
 */

/** The `previous` of record 1. */
export const noHash = '0'.repeat(64);

/** Where a chain stands: its newest record's number and hash. */
export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
}

export const chainStart: ChainEnd = { seq: 0, hash: noHash };

/** All of a record but its hash: its number first, and last the hash of the record before. */
export interface ChainedFields extends Readonly<Record<string, unknown>> {
  readonly seq: number;
  readonly previous: string;
}

/** A record's bytes, as text, without its hash. */
export function chainedText(fields: ChainedFields): string {
  return jsonLine(fields);
}

/** Of the record after another; `fields`: all but these two. */
export function recordText({ seq, hash }: ChainEnd, fields: object): string {
  return chainedText({ seq: seq + 1, ...fields, previous: hash });
}

/** Lower-case hex. */
export function hashRecord(text: string | Uint8Array): string {
  return digest('sha256', text, 'hex');
}

/** A record with its hash, as it is listed and exported. */
export function recordLine({ record, hash }: { readonly record: string; readonly hash: string }): string {
  return `${record.slice(0, -1)},"hash":"${hash}"}`;
}

/** `,"hash":"…"}` at the end of a line. */
const hashMemberBytes = ',"hash":"'.length + noHash.length + '"}'.length;

/** The reverse of `recordLine`, on bytes; undefined for a line that is no record. */
export function splitLine(line: Buffer): { readonly record: Buffer; readonly hash: string } | undefined {
  const at = line.length - hashMemberBytes;
  const [, hash] = at > 0 ? (/^,"hash":"([0-9a-f]{64})"\}$/.exec(line.toString('latin1', at)) ?? []) : [];
  if (hash === undefined) return undefined;
  return { record: Buffer.concat([line.subarray(0, at), Buffer.from('}')]), hash };
}
