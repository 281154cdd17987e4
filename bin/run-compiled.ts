import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import nodeModule, { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';

/** Of what stands before the compiled code: which kinds of commands it knows, for which file it is, its checksum. */
const headBytes = 160;
/** A command of a kind that it does not know adds the functions that it called. So many kinds are told apart, about. */
const kinds = 256;

/**
 * Runs a CommonJS file, with what V8 made of it in earlier processes, which lies in the folder of Node's own compile cache
 * (see keepCompiled). That holds what is compiled before anything runs; here also what was called by the first command of
 * each kind is there, so that a start compiles next to nothing. V8 refuses what another version of it made; where nothing is kept the file is compiled anew.
 */
export function runCompiled(file: string): unknown {
  const folder = nodeModule.getCompileCacheDir();
  return folder === undefined ? createRequire(file)(file) : runKept(file, join(folder, keptName(file)));
}

/** Of its own for each installation. */
function keptName(file: string): string {
  return `${basename(file)}-${crc32(file).toString(16)}`;
}

/** The same, where `kept` is the file that holds it. */
export function runKept(file: string, kept: string): unknown {
  const { source, stamp } = read(file);
  const { code, known } = readKept(kept, stamp);
  const script = new Script(`(function (exports, require, module) {${source}\n})`, {
    filename: file,
    ...(code === undefined ? {} : { cachedData: code }),
  });
  const before = script.cachedDataRejected === true ? 0n : known;
  process.once('exit', (exitCode) => {
    const after = before | (1n << BigInt(kindOf(process.argv.slice(2), exitCode)));
    if (after === before) return;
    const made = script.createCachedData();
    keep(kept, headOf(stamp, after, made), made);
  });
  const module = { exports: {} };
  const body = script.runInThisContext() as (
    exports: object,
    require: NodeJS.Require,
    module: object,
  ) => void;
  body(module.exports, createRequire(file), module);
  return module.exports;
}

/** V8 tells sources apart by their length alone: the file is known by what changes with each that is put in its place. */
function read(file: string): { source: string; stamp: string } {
  const descriptor = openSync(file, 'r');
  try {
    const { ino, size, ctimeMs } = fstatSync(descriptor);
    return { source: readFileSync(descriptor, 'utf8'), stamp: `${ino} ${size} ${ctimeMs}` };
  } finally {
    closeSync(descriptor);
  }
}

/** A command that fails calls others than one that succeeds. Names and patterns count where they look like commands. */
function kindOf(argv: readonly string[], exitCode: number): number {
  const words = argv.filter((word) => /^[a-z-]+$/.test(word)).slice(0, 3);
  return crc32(`${words.join(' ')} ${exitCode}`) % kinds;
}

function readKept(path: string, stamp: string): { code: Buffer | undefined; known: bigint } {
  try {
    const bytes = readFileSync(path);
    const head = bytes.toString('latin1', 0, headBytes);
    const code = bytes.subarray(headBytes);
    const known = BigInt(`0x${head.slice(0, kinds / 4)}`);
    if (head === headOf(stamp, known, code)) return { code, known };
  } catch {
    // There is none.
  }
  return { code: undefined, known: 0n };
}

/** V8 executes what it is given without a look: with a page of zeros in it the process would be killed by a signal. */
function headOf(stamp: string, known: bigint, code: Buffer): string {
  return `${known.toString(16).padStart(kinds / 4, '0')} ${stamp} ${crc32(code)}`
    .padEnd(headBytes)
    .slice(0, headBytes);
}

/** Whole or not at all, also if the machine goes down. */
function keep(path: string, head: string, code: Buffer): void {
  const beside = `${path}.${process.pid}.${process.hrtime.bigint()}`;
  try {
    writeSynced(beside, Buffer.concat([Buffer.from(head, 'latin1'), code]));
    renameSync(beside, path);
  } catch {
    rmSync(beside, { force: true });
  }
}

function writeSynced(path: string, bytes: Buffer): void {
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(descriptor, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
