import { createHash } from 'node:crypto';
import { Masker } from '../../common/redaction/masker.ts';
import { secretPatterns } from '../../common/redaction/secret-patterns.ts';

/*
 * What masking costs on output without a secret in it, beside a plain copy in the same run. Prints the median
 * of several rounds, in MB/s, and what it takes to make the patterns ready.
 */

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

function megabytesPerSecond(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return totalBytes / 1e6 / (Number(process.hrtime.bigint() - start) / 1e9);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

const cases: [string, string[]][] = [
  ['no secret', []],
  ['1 secret', Array.from({ length: 1 }, (_, index) => secret(index))],
  ['10 secrets', Array.from({ length: 10 }, (_, index) => secret(index))],
  ['40 secrets', Array.from({ length: 40 }, (_, index) => secret(index))],
  ['10, one of 4 characters', [...Array.from({ length: 9 }, (_, index) => secret(index)), 'x7Qz']],
  ['10 and a private key', [...Array.from({ length: 10 }, (_, index) => secret(index)), pem()]],
];

const chunks = logChunks();
const pushAll = (masker: Masker): void => {
  const stream = masker.stream();
  let bytes = 0;
  for (const chunk of chunks) bytes += stream.push(chunk).length;
  bytes += stream.flush().length;
  if (bytes !== chunks.length * chunkBytes) throw new Error(`the log holds a secret: ${bytes} bytes`);
};
const maskers = cases.map(([, values]) => new Masker(values));
const figures = cases.map((): number[] => []);
const copies: number[] = [];
for (const masker of maskers) pushAll(masker);
for (let round = 0; round < rounds; round++) {
  copies.push(megabytesPerSecond(() => chunks.forEach((chunk) => Buffer.from(chunk))));
  maskers.forEach((masker, index) => figures[index]?.push(megabytesPerSecond(() => pushAll(masker))));
}

console.log(`plain copy                ${median(copies).toFixed(0).padStart(7)} MB/s`);
cases.forEach(([name, values], index) => {
  const { literal, base64 } = secretPatterns(values);
  const start = performance.now();
  new Masker(values).maskText('first');
  const ready = (performance.now() - start).toFixed(1);
  const speed = median(figures[index] ?? [])
    .toFixed(0)
    .padStart(7);
  console.log(
    `${name.padEnd(25)} ${speed} MB/s, ${literal.length + base64.length} patterns, ready in ${ready} ms`,
  );
});
