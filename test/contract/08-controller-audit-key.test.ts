import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { parseAuditKey } from '../../controller/audit/audit-key.ts';
import { nextAuditKeyFile } from '../../controller/config.ts';
import { signMark, type SignedMark } from '../../common/audit/signed-head.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

let fleet: StubFleet;
/** Of before the first change: the key's file, its fingerprint, and an export that it has signed. */
let old: { pem: string; fingerprint: string; exported: string };

before(async () => {
  fleet = await StubFleet.start('prod-1');
  await fleet.untilKnown('prod-1:sexy');
  await fleet.must('sexy', 'restart');
  const token = await fleet.must('users', 'add', 'vera', '--role', 'admin');
  await expect(0, 'vera', 'login', token.trim());
  const pem = await readFile(join(fleet.home('controller'), 'controller/audit.key'), 'utf8');
  old = { pem, fingerprint: await known('admin'), exported: await fleet.must('audit', 'export') };
});
after(() => fleet.stop());

/** Ends as wanted; gives what it prints on stdout. */
async function expect(code: number, home: string, ...words: string[]): Promise<string> {
  const ended = await fleet.run(home, words);
  assert.equal(ended.code, code, `kompose ${words.join(' ')}: ${ended.stderr}${ended.stdout}`);
  return ended.stdout;
}

/** The key that a login trusts. */
async function known(home: string): Promise<string> {
  const [me] = (await expect(0, home, '-o', 'json', 'whoami')).split('\n');
  return (JSON.parse(me ?? '') as { auditKey: string }).auditKey;
}

/** The key that a login trusts by what is in its folder. */
async function kept(home: string): Promise<string> {
  return (await readFile(join(fleet.home(home), 'user/contexts/default/audit-key'), 'utf8')).trim();
}

async function keys(): Promise<{ fingerprint: string; fromSeq: number; since: string | null }[]> {
  const text = await expect(0, 'controller', '-o', 'json', 'controller', 'audit-key');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { fingerprint: string; fromSeq: number; since: string | null });
}

async function rotate(): Promise<string> {
  await expect(0, 'controller', 'controller', 'audit-key', 'rotate');
  return (await keys()).at(-1)?.fingerprint ?? '';
}

async function verified(home: string, ...words: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await fleet.run(home, ['-o', 'json', 'audit', 'verify', ...words]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function exported(name: string, text?: string): Promise<string> {
  const path = join(fleet.folder, name);
  await writeFile(path, text ?? (await fleet.must('audit', 'export')));
  return path;
}

describe('controller audit-key', () => {
  let second: string;

  test('lists the one that there is', async () => {
    assert.deepEqual(await keys(), [{ fingerprint: old.fingerprint, fromSeq: 1, since: null }]);
    const text = await expect(0, 'controller', 'controller', 'audit-key', 'ls');
    assert.equal(text, `${old.fingerprint}  from record 1\n`);
  });

  test('rotate has another one sign, which the chain tells, while the controller serves', async () => {
    second = await rotate();
    assert.notEqual(second, old.fingerprint);
    const [first, now] = await keys();
    assert.equal(first?.fingerprint, old.fingerprint);
    const [record] = await fleet.objects('audit', 'ls', '--type', 'audit.key-changed');
    assert.equal(record?.['seq'], now?.fromSeq);
    assert.partialDeepStrictEqual(record?.['detail'], { from: old.fingerprint, to: second });
    await fleet.must('sexy', 'restart');
    const last = (await fleet.must('audit', 'export')).trim().split('\n').at(-1) ?? '';
    assert.match(last, /"keys":\[\{/);
  });

  test('leaves nothing of the old one on the disk, and the new one to its owner alone', async () => {
    const folder = join(fleet.home('controller'), 'controller');
    const files = (await readdir(folder)).filter((name) => name.startsWith('audit'));
    assert.deepEqual(files, ['audit.key']);
    const path = join(folder, 'audit.key');
    assert.notEqual(await readFile(path, 'utf8'), old.pem);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  test('is followed by whoever has used the controller since, and by whoever asks for the key', async () => {
    await fleet.must('hosts');
    assert.equal(await kept('admin'), second);
    assert.equal(await kept('vera'), old.fingerprint);
    assert.equal(await known('vera'), second);
    assert.equal(await kept('vera'), second);
  });

  test('leaves nobody who finds the audit changed', async () => {
    assert.equal((await verified('admin'))['whole'], true);
    await expect(0, 'admin', 'doctor');
    assert.deepEqual(await fleet.objects('audit', 'ls', '--type', 'audit.contradicted'), []);
  });

  test('lets exports be verified by the new key, by the old one through the change, and by no other', async () => {
    const path = await exported('audit.jsonl');
    for (const key of [[], ['--key', second], ['--key', old.fingerprint]])
      assert.equal((await verified('admin', path, ...key))['whole'], true, key.join(' '));
    assert.equal((await verified('admin', path, '--key', '0'.repeat(64)))['whole'], false);
    // What only the old key has signed takes whoever asks for that.
    const earlier = await exported('before.jsonl', old.exported);
    assert.equal((await verified('admin', earlier))['whole'], false);
    assert.equal((await verified('admin', earlier, '--key', old.fingerprint))['whole'], true);
  });

  test('makes a head of the old key, over what came later, a forgery that is named', async () => {
    const lines = (await fleet.must('audit', 'export')).trim().split('\n');
    const last = JSON.parse(lines.pop() ?? '') as SignedMark & { readonly keys: unknown };
    const head = signMark('head', last, parseAuditKey(old.pem));
    for (const more of [{ keys: last.keys }, {}]) {
      const forged = [...lines, JSON.stringify({ type: 'audit.head', ...head, ...more }), ''].join('\n');
      const { whole, problem } = await verified('admin', await exported('forged.jsonl', forged));
      assert.equal(whole, false);
      assert.match(String(problem), new RegExp(`signed by the key ${old.fingerprint}`));
    }
  });

  test('goes on after a restart, once more, and into a backup', async () => {
    await fleet.stopController();
    const third = await rotate();
    await fleet.startController();
    // Its agent presents a head of the key before.
    await fleet.untilOnline('prod-1');
    await fleet.must('sexy', 'restart');
    assert.deepEqual(await fleet.objects('audit', 'ls', '--type', 'audit.contradicted'), []);
    assert.equal(await known('admin'), third);
    assert.equal((await verified('vera'))['whole'], true, 'two changes at once');
    const file = join(fleet.folder, 'backup.tar');
    await expect(0, 'controller', 'controller', 'backup', file);
    await expect(0, 'restored', 'controller', 'restore', file);
    const text = await expect(0, 'restored', 'controller', 'audit-key');
    assert.equal(text, await expect(0, 'controller', 'controller', 'audit-key'));
    assert.match(text, new RegExp(`${third}  from record \\d+, 20\\S+\n$`));
  });

  test('is proven also where the records of its changes were pruned', async () => {
    const { code } = await fleet.kompose('audit', 'prune', '--older-than', '0s');
    assert.equal(code, 0);
    assert.equal((await verified('admin'))['whole'], true);
    const path = await exported('pruned.jsonl');
    assert.equal((await verified('admin', path, '--key', old.fingerprint))['whole'], true);
  });

  test('is found where it was cut off between the chain and the key’s place', async () => {
    const folder = join(fleet.home('controller'), 'controller');
    await fleet.stopController();
    const replaced = await readFile(join(folder, 'audit.key'), 'utf8');
    const fourth = await rotate();
    // As a power cut may leave it: the new key where it was first, the old one in its place still.
    const pem = await readFile(join(folder, 'audit.key'), 'utf8');
    const { to } = lastChange(folder);
    await writeFile(join(folder, nextAuditKeyFile(to)), pem, { mode: 0o600 });
    await writeFile(join(folder, 'audit.key'), replaced);
    await fleet.startController();
    assert.equal(await known('admin'), fourth);
    assert.equal(await readFile(join(folder, 'audit.key'), 'utf8'), pem);
    // Without it there is nobody who could go on with the chain.
    await fleet.stopController();
    await writeFile(join(folder, 'audit.key'), replaced);
    const { code, stderr } = await fleet.run('controller', [
      'controller',
      'serve',
      '--listen',
      fleet.address,
    ]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /audit\.key is not the key that signs the audit since it was changed: restore a backup/,
    );
  });
});

function lastChange(folder: string): { readonly to: string } {
  const database = new DatabaseSync(join(folder, 'kompose.db'), { readOnly: true });
  try {
    const { mark } = database.prepare("select mark from audit_marks where kind = 'keys'").get() ?? {};
    return (JSON.parse(String(mark)) as { readonly to: string }[]).at(-1) ?? { to: '' };
  } finally {
    database.close();
  }
}
