import { globSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename } from 'node:path';
import { writeSection, writeTargets } from './document.ts';
import type { Bench } from './measure.ts';

/*
 * `npm run bench` measures all within half an hour, in the order of their names, since `growth` takes what `fleet-10000`
 * has found; `npm run bench -- NAME` measures one. Each bench runs kompose and its reference in turn and
 * prints medians and their ratio; bench-results/ gets the numbers, and docs/performance.md the bench's own section.
 */
const asked = process.argv.slice(2);
const folder = new URL('../../bench-results/', import.meta.url);
const files = globSync('*.bench.ts', { cwd: import.meta.dirname });
const names = files.map((file) => basename(file, '.bench.ts')).toSorted();
/** Of all, none begins later; the longest takes five minutes. */
const lastStartMs = 25 * 60_000;
const unknown = asked.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no bench ${unknown.join(', ')}; there are: ${names.join(', ')}\n`);
  process.exit(2);
}
await mkdir(folder, { recursive: true });
process.stdout.write(`${cpus().length} cores, Node ${process.versions.node}, ${new Date().toISOString()}\n`);
const late: string[] = [];
for (const name of asked.length === 0 ? names : asked) {
  const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench };
  if (asked.length === 0 && bench.isOnRequest === true) continue;
  if (asked.length === 0 && performance.now() > lastStartMs) {
    late.push(name);
    continue;
  }
  process.stdout.write(`\n${name}: ${bench.about}\n`);
  const lines: string[] = [];
  const rows = await bench.run((line) => {
    lines.push(line);
    process.stdout.write(`  ${line}\n`);
  });
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(rows, undefined, 2)}\n`);
  const asReported = ['```text', ...lines, '```'].join('\n');
  await writeSection(name, bench.about, bench.inDocs?.(rows) ?? asReported);
  if (bench.targets !== undefined) await writeTargets(name, bench.targets(rows));
}
if (late.length > 0) {
  process.stderr.write(`not measured, for want of time: npm run bench -- ${late.join(' ')}\n`);
  process.exitCode = 1;
}
