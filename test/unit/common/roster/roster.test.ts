import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { keyFingerprint } from '../../../../common/audit/signed-head.ts';
import {
  changeEntry,
  joinEntry,
  parseBody,
  rootEntry,
  type RosterChange,
  type RosterEntry,
} from '../../../../common/roster/entry.ts';
import { Roster } from '../../../../common/roster/roster.ts';
import { createSigningKey, type SigningKey } from '../../../../common/signing/signing-key.ts';

const ada = createSigningKey();
const bob = createSigningKey();
const eve = createSigningKey();
const token = createSigningKey();
const until = Date.parse('2031-01-01');

const root = Roster.empty.extend([rootEntry('ada', ada)]);

function invite(change: Partial<Extract<RosterChange, { type: 'invite' }>> = {}): RosterChange {
  return { type: 'invite', key: token.publicKey, user: 'bob', role: 'viewer', uses: 1, until, ...change };
}

function changed(roster: Roster, change: RosterChange, by: SigningKey = ada): Roster {
  return roster.extend([changeEntry(change, roster, by)]);
}

const invited = changed(root, invite());
const withBob = invited.extend([joinEntry('bob', bob.publicKey, token)]);

function refuses(roster: Roster, entry: RosterEntry, why: RegExp): void {
  const before = roster.head;
  assert.throws(() => roster.extend([entry]), { code: 'denied', message: why });
  assert.equal(roster.head, before);
}

describe('the roster', () => {
  test('begins with an admin, whose key is its root', () => {
    assert.deepEqual(root.users, [{ name: 'ada', key: ada.publicKey, role: 'admin' }]);
    assert.equal(root.root, keyFingerprint(ada.publicKey));
  });

  test('holds who was invited by an admin and signed with the token', () => {
    assert.deepEqual(withBob.userOfKey(bob.publicKey), { name: 'bob', key: bob.publicKey, role: 'viewer' });
    assert.equal(withBob.invite(token.publicKey), undefined);
  });

  test('lets a token with several uses in so often', () => {
    const several = changed(root, invite({ user: '', uses: 2 }));
    const both = several.extend([
      joinEntry('bob', bob.publicKey, token),
      joinEntry('eve', eve.publicKey, token),
    ]);
    assert.equal(both.users.length, 3);
    refuses(both, joinEntry('dan', createSigningKey().publicKey, token), /nobody invited/);
  });

  test('makes an admin of whom an invite says so, and nobody else', () => {
    const admin = changed(root, invite({ role: 'admin' })).extend([joinEntry('bob', bob.publicKey, token)]);
    assert.equal(changed(admin, { type: 'remove', name: 'ada' }, bob).users.length, 1);
    refuses(withBob, changeEntry({ type: 'remove', name: 'ada' }, withBob, bob), /no admin/);
  });

  test('forgets whom an admin removes: the key is nobody’s, and never comes again', () => {
    const without = changed(withBob, { type: 'remove', name: 'bob' });
    assert.equal(without.userOfKey(bob.publicKey), undefined);
    refuses(without, joinEntry('bob', bob.publicKey, token), /nobody invited/);
    const again = changed(without, invite({ key: eve.publicKey }));
    refuses(again, joinEntry('bob', bob.publicKey, eve), /was in the roster before/);
  });

  test('withdraws an invite', () => {
    const withdrawn = changed(invited, { type: 'withdraw', key: token.publicKey });
    refuses(withdrawn, joinEntry('bob', bob.publicKey, token), /nobody invited/);
  });

  test('never is without an admin', () => {
    refuses(withBob, changeEntry({ type: 'remove', name: 'ada' }, withBob, ada), /last admin/);
    refuses(withBob, changeEntry({ type: 'role', name: 'ada', role: 'viewer' }, withBob, ada), /last admin/);
  });

  test('refuses another’s signature, another place, another root, a taken name', () => {
    const forged = {
      ...changeEntry(invite(), root, ada),
      signature: changeEntry(invite(), root, eve).signature,
    };
    refuses(root, forged, /signature is wrong/);
    refuses(root, changeEntry(invite(), root, eve), /no admin/);
    refuses(invited, changeEntry({ type: 'withdraw', key: token.publicKey }, root, ada), /another place/);
    refuses(root, rootEntry('eve', eve), /a root is the first entry/);
    refuses(Roster.empty, joinEntry('bob', bob.publicKey, token), /a root is the first entry/);
    refuses(changed(root, invite({ user: '' })), joinEntry('ada', bob.publicKey, token), /already/);
    refuses(invited, joinEntry('eve', eve.publicKey, token), /the invite is for bob/);
  });

  test('takes a join only with the token’s key: a controller cannot put in one of its own', () => {
    const { body } = joinEntry('bob', bob.publicKey, token);
    const swapped = body.replace(bob.publicKey, eve.publicKey);
    const { signature } = joinEntry('bob', bob.publicKey, token);
    refuses(invited, { body: swapped, signature }, /signature is wrong/);
    refuses(invited, joinEntry('bob', eve.publicKey, eve), /nobody invited/);
  });

  test('stands or falls with each byte of each entry', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (at, where, flip) => {
        const entries = withBob.entries.map((entry, index) => {
          if (index !== at) return entry;
          const bytes = Buffer.from(entry.body);
          bytes[where % bytes.length] = (bytes[where % bytes.length] ?? 0) ^ flip;
          return { ...entry, body: bytes.toString() };
        });
        assert.throws(() => Roster.empty.extend(entries), { code: 'denied' });
      }),
    );
  });

  test('comes to the same, whether its entries come at once or one by one, and to nothing else in another order', () => {
    const whole = Roster.empty.extend(withBob.entries);
    assert.equal(whole.head, withBob.head);
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (order) => {
        const entries = order.map((at) => withBob.entries[at]).filter((entry) => entry !== undefined);
        if (order.every((at, index) => at === index)) return;
        assert.throws(() => Roster.empty.extend(entries), { code: 'denied' });
      }),
    );
  });
});

describe('the body of an entry', () => {
  test('is parsed or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseBody(text), undefined)),
    );
  });

  test('has its fields and no other', () => {
    const { body } = rootEntry('ada', ada);
    assert.notEqual(parseBody(body), undefined);
    assert.equal(parseBody(body.replace('}', ',"role":"admin"}')), undefined);
    assert.equal(parseBody(body.replace('ada', 'a da')), undefined);
    assert.equal(parseBody(body.replace('"root"', '"boss"')), undefined);
  });
});
