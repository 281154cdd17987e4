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

/** Of what stands before the compiled code: for which file it is, and of how many commands it knows the functions. */
const headBytes = 64;
/** A command adds the functions that it called and no earlier one did; so many commands do. */
const mostAdded = 8;

/**
 * Runs a CommonJS file, with what V8 made of it in earlier processes, which lies in the folder of Node's own compile cache
 * (see keepCompiled). That holds what is compiled before anything runs; here also what was called is there, so that a start
 * compiles next to nothing. V8 refuses what another version of it made; where nothing is kept the file is compiled anew.
 */
export function runCompiled(file: string): unknown {
  const folder = nodeModule.getCompileCacheDir();
  return folder === undefined ? createRequire(file)(file) : runKept(file, join(folder, basename(file)));
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
    process.once('exit', () => keep(kept, headOf(stamp, before + 1), script.createCachedData()));
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
    for (let added = 1; added <= mostAdded; added++)
      if (head === headOf(stamp, added)) return { code: bytes.subarray(headBytes), added };
  } catch {
    // There is none.
  }
  return { code: undefined, added: 0 };
}

function headOf(stamp: string, added: number): string {
  return `${added} ${stamp}`.padEnd(headBytes).slice(0, headBytes);
}

/** Whole or not at all, also if the machine goes down: V8 does not look whether all of it is there. */
function keep(path: string, head: string, code: Buffer): void {
  const beside = `${path}.${process.pid}`;
  try {
    const descriptor = openSync(beside, 'wx', 0o600);
    try {
      writeFileSync(descriptor, Buffer.concat([Buffer.from(head, 'latin1'), code]));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, path);
  } catch {
    rmSync(beside, { force: true });
  }
}
