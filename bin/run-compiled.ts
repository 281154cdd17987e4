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

/** Of what stands before the compiled code: of how many commands it knows the functions, for which file it is, its checksum. */
const headBytes = 80;
/** A command adds the functions that it called and no earlier one did; so many commands do. */
const mostAdded = 8;

/**
 * Runs a CommonJS file, with what V8 made of it in earlier processes, which lies in the folder of Node's own compile cache
 * (see keepCompiled). That holds what is compiled before anything runs; here also what was called is there, so that a start
 * compiles next to nothing. V8 refuses what another version of it made; where nothing is kept the file is compiled anew.
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
  const { code, added } = readKept(kept, stamp);
  const script = new Script(`(function (exports, require, module) {${source}\n})`, {
    filename: file,
    ...(code === undefined ? {} : { cachedData: code }),
  });
  const before = script.cachedDataRejected === true ? 0 : added;
  if (before < mostAdded)
    process.once('exit', () => {
      const made = script.createCachedData();
      keep(kept, headOf(stamp, before + 1, made), made);
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

function readKept(path: string, stamp: string): { code: Buffer | undefined; added: number } {
  try {
    const bytes = readFileSync(path);
    const head = bytes.toString('latin1', 0, headBytes);
    const code = bytes.subarray(headBytes);
    const added = Number.parseInt(head, 10);
    if (head === headOf(stamp, added, code)) return { code, added };
  } catch {
    // There is none.
  }
  return { code: undefined, added: 0 };
}

/** V8 executes what it is given without a look: with a page of zeros in it the process would be killed by a signal. */
function headOf(stamp: string, added: number, code: Buffer): string {
  return `${added} ${stamp} ${crc32(code)}`.padEnd(headBytes).slice(0, headBytes);
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
