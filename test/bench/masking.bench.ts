import { createHash } from 'node:crypto';
import { Masker } from '../../common/redaction/masker.ts';
import { secretPatterns } from '../../common/redaction/secret-patterns.ts';
import type { Bench } from './measure.ts';

const chunkBytes = 64 * 1024;
const totalBytes = 32 * 1024 * 1024;
const rounds = 9;

/** The same words in every run, without a seedable random source. */
function digest(seed: string): Buffer {
  return createHash('sha512').update(seed).digest();
}

function logLines(seed: number): string {
  const noise = digest(`line ${seed}`);
  const id = noise.toString('hex', 0, 6);
  const path = `/api/v1/orders/${noise.readUInt16LE(8)}?page=${noise.readUInt8(10)}&sort=created_at`;
  const time = new Date(1.75e12 + seed * 37).toISOString();
  return [
    `web-1    | ${time} INFO  request completed method=GET path=${path} status=200 duration_ms=${noise.readUInt8(11)} id=${id}\n`,
    `db-1     | ${time} [${noise.readUInt16LE(12)}] LOG:  checkpoint complete: wrote ${noise.readUInt16LE(14)} buffers (0.3%)\n`,
    `worker-1 | {"level":"info","time":"${time}","msg":"job done","queue":"mail","job":"${noise.toString('base64url', 16, 34)}"}\n`,
  ].join('');
}

function logChunks(): Buffer[] {
  const text = Buffer.from(Array.from({ length: 6000 }, (_, seed) => logLines(seed)).join(''));
  const chunks: Buffer[] = [];
  for (let bytes = 0, from = 0; bytes < totalBytes; bytes += chunkBytes) {
    chunks.push(Buffer.from(text.subarray(from, from + chunkBytes)));
    from = (from + chunkBytes) % (text.length - chunkBytes);
  }
  return chunks;
}

/** Kinds in turn: a token, a password with marks, a URL with a password, a base64 key. */
function secret(index: number): string {
  const noise = digest(`secret ${index}`);
  const kinds = [
    noise.toString('hex', 0, 20),
    `${noise.toString('base64url', 0, 9)}$&/+ ${index}!`,
    `postgres://app:${noise.toString('hex', 0, 9)}%21@db:5432/app${index}`,
    noise.toString('base64', 0, 32),
  ];
  return kinds[index % kinds.length] ?? '';
}

/** A private key as in a PEM file, 50 lines. */
function pem(): string {
  const lines = Array.from({ length: 50 }, (_, line) => digest(`pem ${line}`).toString('base64', 0, 48));
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
}

const secrets = (count: number): string[] => Array.from({ length: count }, (_, index) => secret(index));

interface Case {
  readonly name: string;
  readonly values: readonly string[];
  /** How often one of the values is put into the log: each so many bytes. */
  readonly matchEvery?: number;
}

const cases: readonly Case[] = [
  { name: '1 secret', values: secrets(1) },
  { name: '10 secrets', values: secrets(10) },
  { name: '100 secrets', values: secrets(100) },
  { name: '10, one of 4 characters', values: [...secrets(9), 'x7Qz'] },
  { name: '10 and a private key', values: [...secrets(10), pem()] },
  { name: '1 secret, a match every 4 KiB', values: secrets(1), matchEvery: 4096 },
  { name: '10 secrets, a match every 4 KiB', values: secrets(10), matchEvery: 4096 },
  { name: '100 secrets, a match every 4 KiB', values: secrets(100), matchEvery: 4096 },
  { name: '10 secrets, a match every 256 bytes', values: secrets(10), matchEvery: 256 },
];

/** The log with the values in turn written over it. */
function withMatches(chunks: readonly Buffer[], { values, matchEvery }: Case): Buffer[] {
  if (matchEvery === undefined) return [...chunks];
  let count = 0;
  return chunks.map((chunk) => {
    const copy = Buffer.from(chunk);
    for (let at = 0; at + matchEvery <= copy.length; at += matchEvery) {
      copy.write(values[count++ % values.length] ?? '', at);
    }
    return copy;
  });
}

/** Gives the number of bytes shown. */
function mask(masker: Masker, chunks: readonly Buffer[]): number {
  const stream = masker.stream();
  let bytes = 0;
  for (const chunk of chunks) bytes += stream.push(chunk).length;
  return bytes + stream.flush().length;
}

function megabytesPerSecond(work: () => unknown): number {
  const startMs = performance.now();
  work();
  return totalBytes / 1e3 / (performance.now() - startMs);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

export const bench: Bench = {
  about: `masking ${totalBytes / 2 ** 20} MiB of log lines in chunks of 64 KiB, beside a plain copy`,
  async run(report) {
    const log = logChunks();
    const subjects = cases.map((each) => {
      const chunks = withMatches(log, each);
      const masker = new Masker(each.values);
      const isWhole = mask(masker, chunks) === totalBytes;
      if (isWhole !== (each.matchEvery === undefined))
        throw new Error(`${each.name}: masked too much or nothing`);
      return { ...each, work: () => mask(masker, chunks), speeds: [] as number[] };
    });
    const copies: number[] = [];
    for (let round = 0; round < rounds; round++) {
      copies.push(megabytesPerSecond(() => log.forEach((chunk) => Buffer.from(chunk))));
      for (const { work, speeds } of subjects) speeds.push(megabytesPerSecond(work));
    }
    const copy = median(copies);
    report(`${'plain copy'.padEnd(36)} ${copy.toFixed(0).padStart(6)} MB/s`);
    const rows = subjects.map(({ name, values, speeds }) => {
      const { literal, base64 } = secretPatterns(values);
      const startMs = performance.now();
      new Masker(values).maskText('first');
      const readyMs = performance.now() - startMs;
      const row = {
        name,
        megabytesPerSecond: median(speeds),
        patterns: literal.length + base64.length,
        readyMs,
      };
      const figures = `${row.megabytesPerSecond.toFixed(0).padStart(6)} MB/s, ${(copy / row.megabytesPerSecond).toFixed(1)} times a copy`;
      report(`${name.padEnd(36)} ${figures}; ${row.patterns} patterns, ready in ${readyMs.toFixed(1)} ms`);
      return row;
    });
    return { copy, rows };
  },
};
