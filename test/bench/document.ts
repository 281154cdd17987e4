import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { cpus, release, totalmem } from 'node:os';
import type { Target } from './measure.ts';

const path = new URL('../../docs/performance.md', import.meta.url);

/**
 * Puts what a bench has found in the place of what it found before, in its own section of docs/performance.md, with the
 * machine, versions and date; all else there is left alone. A new section comes last.
 */
export async function writeSection(
  name: string,
  about: string,
  body: string,
  command = `npm run bench -- ${name}`,
): Promise<void> {
  const before = await readFile(path, 'utf8');
  const start = `<!-- bench ${name} -->`;
  const end = `<!-- end of ${name} -->`;
  const text = [
    start,
    `## ${name}`,
    '',
    `${about.charAt(0).toUpperCase()}${about.slice(1)}. \`${command}\``,
    '',
    body.trim(),
    '',
    where(),
    end,
  ];
  const section = text.join('\n');
  const at = before.indexOf(start);
  const until = before.indexOf(end);
  const after =
    at < 0 || until < at
      ? `${before.trimEnd()}\n\n${section}\n`
      : before.slice(0, at) + section + before.slice(until + end.length);
  await writeFile(path, after);
}

const targetsHead = '| what | target | measured | met | measured by |\n| --- | --- | --- | --- | --- |\n';

/** Puts a bench's rows in the place of those it had in the table of targets. */
export async function writeTargets(name: string, targets: readonly Target[]): Promise<void> {
  const before = await readFile(path, 'utf8');
  const at = before.indexOf(targetsHead) + targetsHead.length;
  if (at < targetsHead.length) throw new Error(`docs/performance.md has no table of targets`);
  const until = before.indexOf('\n\n', at - 1);
  const command = `\`npm run bench -- ${name}\``;
  const ours = targets.map(({ what, limit, measured, isMet }) => {
    const cells = [what, limit, measured, isMet ? 'yes' : '**no**', command];
    return `| ${cells.join(' | ')} |`;
  });
  const rows = before.slice(at, until).split('\n');
  const others = rows.filter((row) => row !== '' && !row.endsWith(`| ${command} |`));
  const table = [...others, ...ours].toSorted(new Intl.Collator('en', { numeric: true }).compare);
  await writeFile(path, before.slice(0, at) + table.join('\n') + before.slice(until));
}

/** The machine, the versions and the date. */
function where(): string {
  const { version: grpc } = createRequire(import.meta.url)('@grpc/grpc-js/package.json') as {
    version: string;
  };
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${memory}, Linux ${release()}`;
  const versions = `Node ${process.versions.node}, grpc-js ${grpc}, kompose at ${commit()}`;
  return `_${machine}; ${versions}; ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC_`;
}

function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--untracked-files=no', '--', ':!docs') !== '';
  return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ', changed' : ''}`;
}

/** Rows of cells; the first row is the head. */
export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
