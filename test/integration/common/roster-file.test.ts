import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { changeEntry, rootEntry, type RosterEntry } from '../../../common/roster/entry.ts';
import { RosterFile } from '../../../common/roster/roster-file.ts';
import { Roster } from '../../../common/roster/roster.ts';
import { createSigningKey } from '../../../common/signing/signing-key.ts';

const ada = createSigningKey();
const trusted = keyFingerprint(ada.publicKey);
const first = rootEntry('ada', ada);

/** Ada invites somebody, after these. */
function invites(before: readonly RosterEntry[], uses = 1): RosterEntry {
  const end = Roster.empty.extend(before);
  const { publicKey: key } = createSigningKey();
  return changeEntry({ type: 'invite', key, user: '', role: 'viewer', uses, until: 1 }, end, ada);
}

async function place(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-roster-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'roster');
}

describe('the file of a roster', () => {
  test('keeps what it took, closed to others, for the next process', async (t) => {
    const path = await place(t);
    const file = RosterFile.open(path, trusted);
    const second = invites([first]);
    file.take(0, [first]);
    file.take(1, [second]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(RosterFile.open(path, trusted).current.entries, [first, second]);
  });

  test('takes nothing that is shorter, differs, has a hole, or begins with another key', async (t) => {
    const path = await place(t);
    const file = RosterFile.open(path, trusted);
    const second = invites([first]);
    file.take(0, [first, second]);
    file.take(0, [first]);
    assert.equal(file.current.count, 2);
    assert.throws(() => file.take(1, [invites([first])]), { code: 'denied', message: /differs in entry 2/ });
    assert.throws(() => file.take(3, [invites([first])]), {
      code: 'denied',
      message: /a hole after entry 2/,
    });
    const other = RosterFile.open(await place(t), trusted);
    assert.throws(() => other.take(0, [rootEntry('eve', createSigningKey())]), {
      message: /not trusted here/,
    });
    assert.equal(other.current.count, 0);
  });

  test('takes entries that come twice', async (t) => {
    const file = RosterFile.open(await place(t), trusted);
    const second = invites([first]);
    for (const after of [0, 0, 1]) file.take(after, [first, second].slice(after));
    assert.equal(file.current.count, 2);
  });

  test('does not shrink under two processes, of which one has seen less', async (t) => {
    const path = await place(t);
    const [one, other] = [RosterFile.open(path, trusted), RosterFile.open(path, trusted)];
    const second = invites([first]);
    one.take(0, [first, second]);
    other.take(0, [first]);
    assert.equal(other.current.count, 2);
    assert.equal(RosterFile.open(path, trusted).current.count, 2);
  });

  test('is refused when somebody changed it, or when it begins with another key than is trusted', async (t) => {
    const path = await place(t);
    RosterFile.open(path, trusted).take(0, [first]);
    const other = keyFingerprint(createSigningKey().publicKey);
    assert.throws(() => RosterFile.open(path, other), { code: 'failed', message: /not trusted here/ });
    await writeFile(path, (await readFile(path, 'utf8')).replace('ada', 'eve'));
    assert.throws(() => RosterFile.open(path, trusted), { code: 'failed', message: /damaged: entry 1/ });
  });
});
