import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';
import { AuditFleet, sha256 } from './audit-fleet.ts';

let audit: AuditFleet;
let fleet: StubFleet;
/** An export of the whole audit, as lines, the signed head last. */
let lines: string[];

before(async () => {
  audit = await AuditFleet.start();
  fleet = audit.stub;
  lines = await audit.exported();
});

after(() => audit.stop());

describe('`kompose audit export`', () => {
  test('JSON lines on stdout: the records in order, then one last line, the signed head over them and their count', () => {
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const head = records.pop();
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, index) => index + 1),
    );
    assert.partialDeepStrictEqual(head, { type: 'audit.head', seq: records.length, count: records.length });
    assert.equal(typeof head?.['signature'], 'string');
    assert.ok(records.some(({ type }) => type === 'hook.finished'));
  });

  test('each record holds the hash of the one before, which sha256sum finds', () => {
    const records = lines.slice(0, -1).map((line) => JSON.parse(line) as { previous: string; hash: string });
    let previous = '0'.repeat(64);
    for (const [index, { previous: told, hash }] of records.entries()) {
      assert.equal(told, previous);
      assert.equal(sha256(lines[index]?.replace(/,"hash":"[0-9a-f]{64}"\}$/, '}') ?? ''), hash);
      previous = hash;
    }
    assert.equal((JSON.parse(lines.at(-1) ?? '') as { hash: string }).hash, previous);
  });

  test('of a part (--since, --until) is whole by its own head; of a time without records there is none', async () => {
    const fourth = JSON.parse(lines[3] ?? '') as { time: string };
    const part = await audit.exported('--since', fourth.time);
    assert.ok(part.length < lines.length + 10 && part[0]?.startsWith('{"seq":'));
    assert.partialDeepStrictEqual(await audit.verifyLines(part), { code: 0, whole: true });
    const cut = await audit.verifyLines(part.slice(1));
    assert.equal(cut.seq, (JSON.parse(part[0] ?? '') as { seq: number }).seq);
    assert.equal((await fleet.kompose('audit', 'export', '--until', '2020-01-01')).code, 3);
  });

  test('--format cef prints the records for log collectors', async () => {
    const cef = (await fleet.must('audit', 'export', '--format', 'cef')).trimEnd().split('\n');
    assert.ok(cef.length >= lines.length - 1);
    for (const line of cef) assert.match(line, /^CEF:0\|kompose\|kompose\|0\.1\.0\|[a-z-]+\.[a-z-]+\|/);
    assert.equal((await fleet.kompose('audit', 'export', '--format', 'xml')).code, 2);
  });

  test('is for admins', async () => {
    const token = await fleet.must('users', 'add', 'vera', '--role', 'viewer');
    await fleet.run('vera', ['login', token.trim()]);
    for (const verb of ['export', 'verify']) {
      const { code, stdout } = await fleet.run('vera', ['audit', verb]);
      assert.deepEqual([code, stdout], [5, ''], verb);
    }
  });
});

describe('`kompose audit verify [FILE] [--key FINGERPRINT]`: 0 whole', () => {
  test('the live store', async () => {
    const { code, stdout } = await fleet.kompose('audit', 'verify');
    assert.match(stdout, /^whole: \d+ records, 1 to \d+, signed 20\S+Z\n$/);
    assert.equal(code, 0);
  });

  test('an export, also one that is older than the newest head seen, and on stdin', async () => {
    assert.partialDeepStrictEqual(await audit.verifyLines(lines), { code: 0, whole: true });
    const { code } = await fleet.run('admin', ['audit', 'verify', '-'], `${lines.join('\n')}\n`);
    assert.equal(code, 0);
  });

  test('needs no controller, nor a login with --key; trusts no key in the file', async () => {
    const [me] = await fleet.objects('whoami');
    const key = String(me?.['auditKey']);
    const file = join(audit.scratch, 'elsewhere.jsonl');
    await writeFile(file, `${lines.join('\n')}\n`);
    await fleet.stopController();
    try {
      assert.partialDeepStrictEqual(await audit.verify([file]), { code: 0, whole: true });
      assert.partialDeepStrictEqual(await audit.verify([file, '--key', key], 'nobody'), {
        code: 0,
        whole: true,
      });
      const wrong = await audit.verify([file, '--key', 'ab'.repeat(32)], 'nobody');
      assert.deepEqual([wrong.code, wrong.whole], [1, false]);
      const none = await fleet.run('nobody', ['audit', 'verify', file]);
      assert.equal(none.code, 5);
      assert.match(none.stderr, /--key FINGERPRINT/);
    } finally {
      await fleet.startController();
    }
  });

  test('a file that is not there is 3, a malformed key 2', async () => {
    assert.equal((await fleet.kompose('audit', 'verify', join(audit.scratch, 'none'))).code, 3);
    assert.equal((await fleet.kompose('audit', 'verify', '--key', 'abc')).code, 2);
  });
});

describe('`kompose audit verify FILE`: 1 names the first bad seq of an export where', () => {
  const at = (index: number): string => lines[index] ?? '';
  const cases: readonly [what: string, seq: () => number, change: () => string[]][] = [
    [
      'a record was changed',
      () => 4,
      () => lines.map((line, index) => (index === 3 ? line.replace(/admin/, 'nobody') : line)),
    ],
    ['a record was dropped', () => 4, () => lines.toSpliced(3, 1)],
    ['two records changed places', () => 4, () => lines.toSpliced(3, 2, at(4), at(3))],
    ['a record was put in twice', () => 4, () => lines.toSpliced(4, 0, at(3))],
    ['the tail was cut off', () => 5, () => [...lines.slice(0, 4), at(lines.length - 1)]],
    ['the beginning was cut off', () => 1, () => lines.slice(2)],
    ['the last line is missing: it is cut off', () => lines.length, () => lines.slice(0, -1)],
    [
      'a hook script was swapped',
      () => lines.findIndex((line) => line.includes('hook at work')) + 1,
      () => lines.map((line) => line.replace('hook at work', 'nothing bad')),
    ],
  ];
  for (const [what, seq, change] of cases) {
    test(what, async () => {
      const text = change();
      assert.notDeepEqual(text, lines);
      const verdict = await audit.verifyLines(text);
      assert.deepEqual([verdict.code, verdict.seq], [1, seq()], verdict.problem);
    });
  }

  test('the records were forged with a key of somebody’s own', async () => {
    const other = await StubFleet.start();
    try {
      const foreign = (await other.must('audit', 'export')).trimEnd().split('\n');
      const { code, problem } = await audit.verifyLines(foreign);
      assert.equal(code, 1);
      assert.match(problem ?? '', /trusted key/);
    } finally {
      await other.stop();
    }
  });
});
