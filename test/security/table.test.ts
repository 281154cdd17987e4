import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/security.md'), 'utf8');
/** What an attacker cannot do, and the test that proves it. */
const rows = page.split('\n').flatMap((line) => {
  const [, cannot, file, title] = /^\|[^|]*\|[^|]*\| ([^|]+?) +\| `([^`]+)`: (.+?) +\|$/.exec(line) ?? [];
  return cannot === undefined || file === undefined || title === undefined ? [] : [{ cannot, file, title }];
});

test('every “cannot” of docs/security.md names one test, and it is there', () => {
  const lines = page.split('\n').filter((line) => line.startsWith('|')).length;
  assert.equal(rows.length, lines - 2, 'each line but the head of the table');
  for (const { cannot, file, title } of rows) {
    const text = readFileSync(join(root, 'test', `${file}.test.ts`), 'utf8');
    const begins = text.split(/\btest\(\s*/).map((part) => part.slice(1));
    const named = begins.filter((part) => part.startsWith(`${title}'`) || part.startsWith(`${title}"`));
    assert.equal(named.length, 1, `${cannot}: ${file}: ${title}`);
  }
});
