import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { signRun } from '../../cli/sign-run.ts';
import { rootEntry } from '../../common/roster/entry.ts';
import { createSigningKey } from '../../common/signing/signing-key.ts';
import { RunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import { SignedOrder } from '../../proto/gen/kompose/v1/signing.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';
import { keptTasks, TakenOver, type KeptTask } from './taken-over.ts';

/*
 * The real agent and the real command line, whose controller is replaced by a program of an attacker's, who has its whole
 * disk: keys, CA, database, and so all that was ever signed.
 */

let fleet: StubFleet;
let kept: readonly KeptTask[];
let taken: TakenOver;

const action = 'echo "$* $TAG" >> ran\n';
const rest = {
  network: undefined,
  terminalSize: undefined,
  output: undefined,
  sealed: new Uint8Array(),
};

/** What the stack's actions have left behind: one line for each command that was executed. */
function ran(): Promise<string> {
  return readFile(join(fleet.stacks('prod-1'), 'sexy', 'ran'), 'utf8');
}

before(async () => {
  fleet = await StubFleet.start('prod-1');
  await fleet.writeStack('prod-1', 'sexy', { 'action.sh': action });
  await fleet.must('sexy', 'up', '-d');
  await fleet.must('sexy', 'restart');
  const folder = join(fleet.home('controller'), 'controller');
  kept = keptTasks(folder);
  await fleet.stopController();
  taken = await TakenOver.start(folder, fleet.address);
  await taken.linked;
});

after(async () => {
  await taken[Symbol.asyncDispose]();
  await fleet.stop();
});

describe('whoever has taken over a controller, with all that is on its disk', () => {
  test('has what was signed, and cannot have it done again', async () => {
    assert.equal(kept.length, 2);
    for (const task of kept) {
      const { denied, reason } = await taken.refusalOf({ ...task, ...rest, env: [] });
      assert.deepEqual([denied, reason], [true, 'it was begun here before: what is signed is done once']);
    }
    assert.equal(await ran(), 'up -d \nrestart \n');
  });

  test('cannot have it done under another id, with other words, elsewhere, or later', async () => {
    const [task] = kept;
    assert.ok(task !== undefined);
    const order = SignedOrder.decode(task.order);
    const bytes = (change: Partial<SignedOrder>): Buffer =>
      Buffer.from(SignedOrder.encode({ ...order, ...change }).finish());
    const fresh = '01J00000000000000000000000';
    const forgeries = [
      { ...task, taskId: fresh },
      { ...task, taskId: fresh, order: bytes({ command: 'exec', args: ['app', 'sh', '-c', 'id'] }) },
      { ...task, taskId: fresh, order: bytes({ notAfterUnixMs: Date.now() + 1e8 }) },
      { ...task, taskId: fresh, stack: 'proxy' },
    ];
    for (const forgery of forgeries) {
      const { denied, reason } = await taken.refusalOf({ ...forgery, ...rest, env: [] });
      assert.equal(denied, true);
      assert.match(reason, /not what its user signed/);
    }
    assert.equal(await ran(), 'up -d \nrestart \n');
  });

  test('cannot sign with a key of its own, whatever roster it tells', async () => {
    const eve = createSigningKey();
    taken.say({ $case: 'roster', value: { after: 0, entries: [rootEntry('admin', eve)] } });
    taken.say({ $case: 'roster', value: { after: 1, entries: [rootEntry('admin', eve)] } });
    const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'up', args: ['-d'] };
    const taskId = '01J00000000000000000000001';
    const proposal = {
      runId: taskId.replace(/1$/, '2'),
      targets: [{ taskId, host: 'prod-1', stack: 'sexy' }],
    };
    const { order, signatures } = signRun({ request }, proposal, eve, Date.now());
    const signature = signatures[0] ?? Buffer.alloc(0);
    const task = { taskId, stack: 'sexy', order, signature, env: [], ...rest };
    const { denied, reason } = await taken.refusalOf(task);
    assert.equal(denied, true);
    assert.match(reason, /not in the roster that this host knows/);
    assert.equal(await ran(), 'up -d \nrestart \n');
  });

  test('cannot have a user sign for more than they asked for', async () => {
    const targets = ['sexy', 'proxy'].map((stack, at) => {
      return { taskId: `01J0000000000000000000000${at}`, host: 'prod-1', stack };
    });
    taken.propose = { $case: 'proposal', value: { runId: '01J00000000000000000000009', targets } };
    const { code, stderr } = await fleet.kompose('sexy', 'down');
    assert.equal(code, 5);
    assert.match(stderr, /wants to start prod-1:proxy, which was not asked for: nothing was signed/);
    const said = taken.clients.at(-1)?.all.map(({ kind }) => kind?.$case);
    assert.deepEqual(said, ['request']);
  });

  test('cannot have a user sign twice for one target', async () => {
    const targets = [0, 1].map((at) => {
      return { taskId: `01J0000000000000000000000${at}`, host: 'prod-1', stack: 'sexy' };
    });
    taken.propose = { $case: 'proposal', value: { runId: '01J00000000000000000000009', targets } };
    const { code, stderr } = await fleet.kompose('sexy', 'restart');
    assert.deepEqual([code, stderr.includes('something twice')], [5, true]);
  });
});
