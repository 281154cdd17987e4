import { chainStart, hashRecord, splitLine, type ChainEnd } from './chain.ts';
import { AuditKeys, mostKeyChanges, parseKeyChange, parseKeyChanges, type KeyChange } from './key-change.ts';
import { isSignedBy, keyFingerprint, parseMark, type SignedMark } from './signed-head.ts';

/** What a chain is held against. */
export interface Trust {
  /** Of the controller's audit key, or of one before it: from there changes of the key are followed. */
  readonly fingerprint: string;
  /** The newest head that the one who verifies has seen. */
  readonly seen: SignedMark | undefined;
  /** These are all records that there are now: none may be missing at either end. */
  readonly isLive: boolean;
}

export interface Verdict {
  /** The first record that is not as it was written, and what is wrong with it; absent if all are. */
  readonly bad?: { readonly seq: number; readonly problem: string };
  /** Of the records that were read. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Of the signed head; empty without one. */
  readonly signedAt: string;
}

/** The last line's `type`. */
export const headType = 'audit.head';

/** Contradictions by so many keys are kept in mind. */
const mostMissing = 10_000;

/** Of a record that holds a change of the key, as its `keyChange`. */
export const keyChangeType = 'audit.key-changed';

/**
 * Reads an export: records, a line each, then the signed head. What the records say is believed only as far as the
 * hashes lead back from a head that the trusted key signed. Pure but for reading.
 */
export async function verifyChain(lines: AsyncIterable<Buffer>, trust: Trust): Promise<Verdict> {
  const check = new ChainCheck(trust);
  for await (const line of lines) if (!check.take(line)) break;
  return check.verdict();
}

/** The lines of a byte stream, without their newlines; the last one may lack it. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of chunks) {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      yield Buffer.concat([...rest, bytes.subarray(0, end)]);
      rest = [];
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > 0) rest.push(bytes);
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

interface Head {
  readonly mark: SignedMark;
  readonly stub: SignedMark | undefined;
  readonly keys: AuditKeys;
}

/** What a record `audit.contradicted` tells. */
interface Missing {
  readonly head: SignedMark;
  readonly bad: NonNullable<Verdict['bad']>;
}

/*
 * INVARIANTS
 * - Until a problem is found, the records taken so far have consecutive numbers and each holds the hash of the one
 *   before.
 * - The first problem stands; nothing is looked at after it.
 */
class ChainCheck {
  readonly #trust: Trust;
  #first: { readonly seq: number; readonly previous: string } | undefined;
  #end: ChainEnd = chainStart;
  #count = 0;
  #head: Head | undefined;
  #bad: Verdict['bad'];
  /** The changes of the key that records tell of. */
  readonly #changes: KeyChange[] = [];
  /** The first of each key, whosever it is: which keys are the audit's is known at the end. */
  readonly #missing = new Map<string, Missing>();
  /** What does not fit the chain although the chain is whole in itself: told only if it is. */
  #contradicted: Verdict['bad'];

  constructor(trust: Trust) {
    this.#trust = trust;
  }

  /** False once the verdict is clear. */
  take(line: Buffer): boolean {
    const fields = parseObject(line);
    if (this.#head !== undefined) this.#fail(this.#end.seq + 1, 'there is more after the signed last line');
    else if (fields?.['type'] === headType) this.#takeHead(fields);
    else this.#takeRecord(line, fields);
    return this.#bad === undefined;
  }

  verdict(): Verdict {
    if (this.#bad === undefined) this.#checkEnd();
    const bad = this.#bad ?? this.#contradicted;
    return {
      ...(bad === undefined ? {} : { bad }),
      first: this.#first?.seq ?? 0,
      last: this.#end.seq,
      count: this.#count,
      signedAt: this.#head?.mark.time ?? '',
    };
  }

  #takeRecord(line: Buffer, fields: Fields | undefined): void {
    const expected = this.#end.seq + 1;
    const split = splitLine(line);
    const { seq, previous } = fields ?? {};
    if (split === undefined || typeof seq !== 'number' || typeof previous !== 'string')
      return this.#fail(expected, 'this is not a record');
    // Of a changed record not even the number is believed, where another one is due.
    if (hashRecord(split.record) !== split.hash)
      return this.#fail(this.#first === undefined ? Math.max(1, seq) : expected, 'the record was changed');
    if (this.#first !== undefined && seq !== expected)
      return this.#fail(Math.min(seq, expected), `record ${seq} stands where ${expected} belongs`);
    if (this.#first === undefined) this.#first = { seq, previous };
    else if (previous !== this.#end.hash)
      return this.#fail(this.#end.seq, 'it is not the record that the next one follows');
    this.#end = { seq, hash: split.hash };
    this.#count++;
    this.#look(fields ?? {});
  }

  /** At a record that fits: does it fit what else is known? */
  #look(fields: Fields): void {
    const { seq, hash } = this.#end;
    const { seen } = this.#trust;
    if (seen?.seq === seq && seen.hash !== hash)
      this.#contradicted ??= { seq, problem: `it is not the record that was seen here before ${seen.time}` };
    if (fields['type'] === 'hook.kept' && !isKeptText(fields['script']))
      this.#fail(seq, 'the text of the hook script is not the one that was kept');
    if (fields['type'] === keyChangeType) this.#lookAtChange(fields);
    if (fields['type'] !== 'audit.contradicted') return;
    const head = parseMark(fields['head']);
    if (head === undefined || this.#missing.has(head.key) || this.#missing.size >= mostMissing) return;
    if (!isSignedBy('head', head, keyFingerprint(head.key))) return;
    const from = typeof fields['firstBad'] === 'number' ? fields['firstBad'] : head.seq;
    const problem = `the chain was changed here: it lacks a head of ${head.time}, as record ${seq} tells`;
    this.#missing.set(head.key, { head, bad: { seq: from, problem } });
  }

  #lookAtChange(fields: Fields): void {
    const { seq } = this.#end;
    const change = parseKeyChange(fields['keyChange']);
    if (change === undefined)
      return this.#fail(seq, 'the change of the audit key is not signed by both keys');
    const before = this.#changes.at(-1);
    if (before !== undefined && before.to !== change.from)
      return this.#fail(seq, 'the change of the audit key is not signed by the key before');
    if (change.seq !== seq - 1 || change.hash !== fields['previous'])
      return this.#fail(seq, 'the change of the audit key was made elsewhere');
    if (this.#changes.length >= mostKeyChanges) return this.#fail(seq, 'the audit key was changed too often');
    this.#changes.push(change);
  }

  #takeHead(fields: Fields): void {
    const mark = parseMark(fields);
    const stub = parseMark(fields['stub']);
    const { fingerprint } = this.#trust;
    const changes = parseKeyChanges(fields['keys'] ?? []);
    if (mark === undefined || changes === undefined || (stub === undefined && fields['stub'] !== undefined))
      return this.#fail(this.#end.seq + 1, 'the last line is not a signed head');
    const keys = AuditKeys.follow(changes, fingerprint);
    if (keys === undefined || !isSignedBy('head', mark, keys.newest)) {
      const whose = keyFingerprint(mark.key);
      const isIts = whose === (keys?.newest ?? '');
      const why = isIts ? 'its signature does not fit' : `it is signed by the key ${whose}`;
      return this.#fail(this.#end.seq + 1, `the last line is not one of the trusted key: ${why}`);
    }
    if (stub !== undefined && !keys.hasSigned('stub', stub))
      return this.#fail(stub.seq, 'what says that earlier records were removed on purpose is not signed');
    this.#head = { mark, stub, keys };
  }

  #checkEnd(): void {
    const { seq: last, hash } = this.#end;
    if (this.#head === undefined) return this.#fail(last + 1, 'cut off: the signed last line is missing');
    const { mark, stub, keys } = this.#head;
    if (last < mark.seq) return this.#fail(last + 1, `cut off: the signed head is at ${mark.seq}`);
    if (last > mark.seq) return this.#fail(mark.seq + 1, 'it came after the signed head');
    if (hash !== mark.hash) return this.#fail(last, 'it is not the record that was signed');
    this.#checkStart(mark, stub);
    this.#checkKeys(keys);
    this.#checkSeen();
  }

  /** The records and the last line tell of the same changes of the key, as far as there are records. */
  #checkKeys(keys: AuditKeys): void {
    const first = this.#first?.seq ?? 1;
    const told = keys.changes.filter(({ seq }) => seq + 1 >= first && seq + 1 <= this.#end.seq);
    const isTold = ({ fromSignature }: KeyChange): boolean =>
      told.some((change) => change.fromSignature === fromSignature);
    const isRecorded = ({ fromSignature }: KeyChange): boolean =>
      this.#changes.some((change) => change.fromSignature === fromSignature);
    const odd = this.#changes.find((change) => !isTold(change)) ?? told.find((change) => !isRecorded(change));
    if (odd !== undefined)
      return this.#fail(
        odd.seq + 1,
        'the change of the audit key is not the one that the last line tells of',
      );
    const missing = [...this.#missing.values()].find(({ head }) => keys.hasSigned('head', head));
    this.#contradicted ??= missing?.bad;
  }

  #checkStart(mark: SignedMark, stub: SignedMark | undefined): void {
    const { seq: first, previous } = this.#first ?? { seq: 0, previous: '' };
    const from = mark.seq - mark.count + 1;
    if (first !== from) return this.#fail(Math.min(first, from), `the records begin at ${from}, not here`);
    const before = first === 1 ? chainStart : stub;
    if (before === undefined || before.seq !== first - 1) {
      if (this.#trust.isLive) this.#fail(first - 1, 'the records up to here are missing');
    } else if (before.hash !== previous) this.#fail(first, 'it does not follow the records before it');
  }

  /** An export may be older than what was seen; the store itself may not. */
  #checkSeen(): void {
    const { seen, isLive } = this.#trust;
    const { seq } = this.#end;
    if (seen === undefined || seen.seq <= seq || !isLive) return;
    const problem = `rolled back: the records up to ${seen.seq} were seen at ${seen.time}`;
    this.#contradicted ??= { seq: seq + 1, problem };
  }

  #fail(seq: number, problem: string): void {
    this.#bad ??= { seq, problem };
  }
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(line: Buffer): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function isKeptText(script: unknown): boolean {
  if (typeof script !== 'object' || script === null) return false;
  const { text, textSha256 } = script as Fields;
  return typeof text === 'string' && hashRecord(text) === textSha256;
}
