import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { execa } from 'execa';

const module = new URL('../../../bin/run-compiled.ts', import.meta.url).href;
const script = `const { runKept } = await import(process.argv[1]);
console.log(runKept(process.argv[2], process.argv[3]).say());`;

/** A file whose function says something, and what says it in a process of its own. */
async function told(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-compiled-'));
  t.after(() => rm(folder, { recursive: true }));
  const [file, kept] = [join(folder, 'file.cjs'), join(folder, 'kept')];
  const put = async (word: string): Promise<void> => {
    await writeFile(`${file}.new`, `module.exports = { say: () => ${JSON.stringify(word)} };`);
    await rename(`${file}.new`, file);
  };
  const say = async (...words: readonly string[]): Promise<string> => {
    const argv = ['--input-type=module', '-e', script, module, file, kept, ...words];
    return (await execa(process.execPath, argv)).stdout;
  };
  return { kept, put, say };
}

test('a file says the same with what is kept of it, which grows with the first command of each kind', async (t) => {
  const { kept, put, say } = await told(t);
  await put('one');
  const heads: string[] = [];
  for (const command of ['ps', 'ps', 'ps', 'up', 'logs', 'ps', 'up', 'logs']) {
    assert.equal(await say('prod-1:sexy', command), 'one');
    heads.push((await readFile(kept, 'latin1')).slice(0, 64));
  }
  const [ps, , , up, logs] = heads;
  assert.deepEqual(heads, [ps, ps, ps, up, logs, logs, logs, logs]);
  assert.equal(new Set(heads).size, 3);
});

test('what is kept of a file is not taken for another of the same length in its place', async (t) => {
  const { put, say } = await told(t);
  await put('one');
  await say();
  await say();
  await put('two');
  assert.equal(await say(), 'two');
});

test('what is kept only in part, or damaged, is not run', async (t) => {
  const { kept, put, say } = await told(t);
  await put('one');
  await say();
  const whole = await readFile(kept);
  const middle = Math.floor(whole.length / 2);
  const damaged = [0, 10, 160, middle].map((length) => whole.subarray(0, length));
  for (const bytes of [...damaged, Buffer.from(whole).fill(0, 160 + 24, middle)]) {
    await writeFile(kept, bytes);
    assert.equal(await say(), 'one');
  }
});
