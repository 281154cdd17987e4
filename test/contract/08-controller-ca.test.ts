import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { trustOf } from '../../proto/trust.ts';
import type { CliProcess } from '../integration/cli/cli-process.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

let fleet: StubFleet;
let earlier: { agent: string; user: string };
let first: string;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2');
  await fleet.stopController();
  fleet.env['KOMPOSE_HEARTBEAT'] = '300ms';
  await fleet.startController();
  await fleet.untilKnown('prod-1:sexy', 'prod-2:sexy');
  const token = await fleet.must('tokens', 'create', '--role', 'viewer', '--name', 'vera');
  await expect(0, 'vera', 'login', token.trim());
  const agent = (await fleet.must('tokens', 'create', '--role', 'agent', '--uses', '2')).trim();
  const user = (await fleet.must('tokens', 'create', '--role', 'viewer', '--name', 'otto')).trim();
  earlier = { agent, user };
  [first = ''] = trustOf(await trusted('controller'));
});
after(() => fleet.stop());

/** Ends as wanted; gives what it prints on stdout. */
async function expect(code: number, home: string, ...words: string[]): Promise<string> {
  const ended = await fleet.run(home, words);
  assert.equal(ended.code, code, `kompose ${words.join(' ')}: ${ended.stderr}`);
  return ended.stdout;
}

/** The lines of `controller ca`. */
async function ca(): Promise<Record<string, unknown>[]> {
  const text = await expect(0, 'controller', '-o', 'json', 'controller', 'ca');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Who is behind, as `host prod-1`. */
async function behind(): Promise<string[]> {
  return (await ca()).flatMap(({ kind, name }) => (kind === 'ca' ? [] : [`${String(kind)} ${String(name)}`]));
}

async function untilBehind(...names: string[]): Promise<void> {
  const all = names.join();
  await fleet.until(`behind is ${all}`, async () => (await behind()).join() === all);
}

/** The CAs that a program keeps: `controller`, or a host's agent, or a user's login. */
function trusted(home: string): Promise<string> {
  const place = home.startsWith('prod') ? 'agent' : home === 'controller' ? home : 'user/contexts/default';
  return readFile(join(fleet.home(home), place, 'ca.crt'), 'utf8');
}

async function untilTrusts(home: string, ...ids: string[]): Promise<void> {
  const all = ids.join();
  await fleet.until(`${home} trusts ${all}`, async () => trustOf(await trusted(home)).join() === all);
}

function join3(token: string, name: string): string[] {
  return ['agent', 'join', token, '--name', name, '--stacks', fleet.stacks('prod-1')];
}

describe('controller ca', () => {
  let run: CliProcess;

  test('lists the one CA that there is, and nobody', async () => {
    const [only, ...others] = await ca();
    assert.deepEqual([only?.['id'], only?.['state'], others], [first, 'signs', []]);
    const text = await expect(0, 'controller', 'controller', 'ca', 'ls');
    assert.match(text, new RegExp(`^ca +${first} +until 20\\S+ +signs\n$`));
  });

  test('finish is refused where nothing is rotated', async () => {
    const { code, stderr } = await fleet.run('controller', ['controller', 'ca', 'finish']);
    assert.deepEqual(
      [code, stderr],
      [1, 'kompose: the CA is not being rotated: kompose controller ca rotate\n'],
    );
  });

  test('rotate: who is online follows while the controller serves and the task of a host goes on', async () => {
    const action = 'echo begun; while [[ ! -e go ]]; do sleep 0.1; done; echo all of it\n';
    await fleet.writeStack('prod-1', 'slow', { 'action.sh': action });
    await fleet.untilKnown('prod-1:slow');
    await fleet.stopAgent('prod-2');
    run = fleet.spawn('admin', ['prod-1:slow', 'up', '-d']);
    await run.shows('stdout', 'begun');
    await expect(0, 'controller', 'controller', 'ca', 'rotate');
    await untilBehind('host prod-2', 'user admin', 'user vera');
    const [old, next] = trustOf(await trusted('prod-1'));
    assert.equal(old, first);
    assert.deepEqual(trustOf(await trusted('controller')), [next]);
  });

  test('rotate: a user follows with the first command', async () => {
    await fleet.must('whoami');
    assert.deepEqual(await behind(), ['host prod-2', 'user vera']);
    assert.equal(trustOf(await trusted('admin')).length, 2);
    await fleet.must('whoami');
  });

  test('rotate: tokens of before work', async () => {
    await expect(0, 'prod-3', ...join3(earlier.agent, 'prod-3'));
    await expect(0, 'otto', 'login', earlier.user);
    assert.equal(trustOf(await trusted('prod-3')).length, 2);
    assert.equal(trustOf(await trusted('otto')).length, 2);
    await expect(0, 'otto', 'whoami');
    assert.deepEqual(await behind(), ['host prod-2', 'user vera']);
  });

  test('rotate: again is refused until the first is finished', async () => {
    const { code, stderr } = await fleet.run('controller', ['controller', 'ca', 'rotate']);
    assert.equal(code, 1);
    assert.match(stderr, /being rotated already: .* kompose controller ca finish/);
  });

  test('ls and finish name who would be shut out, and nothing is dropped', async () => {
    const text = await expect(0, 'controller', 'controller', 'ca');
    assert.match(
      text,
      new RegExp(`^ca +${first} .* the old one: trusted until kompose controller ca finish$`, 'm'),
    );
    assert.match(text, /^host +prod-2 +does not trust the new CA yet \(last seen 20\S+\)$/m);
    assert.match(text, /^user +vera +does not trust the new CA yet$/m);
    const { code, stderr } = await fleet.run('controller', ['controller', 'ca', 'finish']);
    assert.equal(code, 1);
    assert.match(stderr, /host prod-2, user vera would be shut out: .* finish --force/);
    assert.equal((await ca()).filter(({ kind }) => kind === 'ca').length, 2);
  });

  test('rotate: a controller that is started anew goes on with it', async () => {
    await fleet.stopController();
    await fleet.startController();
    await expect(0, 'otto', 'whoami');
    assert.deepEqual(await behind(), ['host prod-2', 'user vera']);
  });

  test('rotate: who was away follows when they are back', async () => {
    await fleet.startAgent('prod-2');
    await expect(0, 'vera', 'whoami');
    await untilBehind();
    assert.match(await expect(0, 'controller', 'controller', 'ca'), /everybody trusts the new one/);
  });

  test('a backup carries both', async () => {
    const archive = join(fleet.folder, 'backup.tar');
    await expect(0, 'controller', 'controller', 'backup', archive);
    await expect(0, 'restored', 'controller', 'restore', archive);
    const text = await expect(0, 'restored', 'controller', 'ca');
    assert.equal(text, await expect(0, 'controller', 'controller', 'ca'));
  });

  test('finish: the old one is dropped by all, without a restart and without losing the task', async () => {
    await expect(0, 'controller', 'controller', 'ca', 'finish');
    const [next = ''] = trustOf(await trusted('controller'));
    await untilTrusts('prod-1', next);
    await untilTrusts('prod-2', next);
    await fleet.must('whoami');
    assert.deepEqual(trustOf(await trusted('admin')), [next]);
    await fleet.must('whoami');
    // Who is away trusts it until they are seen, and that is told.
    await untilBehind('host prod-3', 'user otto', 'user vera');
    assert.match(
      await expect(0, 'controller', 'controller', 'ca'),
      /^host +prod-3 +still trusts a CA that was dropped, until it is seen next \(last seen never\)$/m,
    );
    await expect(0, 'vera', 'whoami');
    await writeFile(join(fleet.stacks('prod-1'), 'slow/go'), '');
    assert.deepEqual([await run.ended, run.stdout], [0, 'begun\nall of it\n']);
    const hosts = await fleet.objects('hosts');
    assert.deepEqual(
      hosts.map(({ name, online }) => [name, online]),
      [
        ['prod-1', true],
        ['prod-2', true],
        ['prod-3', false],
      ],
    );
  });

  test('finish: tokens of before the rotation are refused in clear words', async () => {
    const { code, stderr } = await fleet.run('prod-4', join3(earlier.agent, 'prod-4'));
    assert.equal(code, 5);
    assert.match(
      stderr,
      /not the one that made this token, or has another CA since: ask an admin for a new token/,
    );
  });

  test('is in the audit, which verifies', async () => {
    const records = await fleet.objects('audit', 'ls');
    const about = (type: string): unknown => records.find((each) => each['type'] === type)?.['detail'];
    const [next] = trustOf(await trusted('controller'));
    assert.match(
      JSON.stringify(about('controller.ca-rotated')),
      new RegExp(`"from":"${first}","to":"${next}"`),
    );
    assert.match(
      JSON.stringify(about('controller.ca-dropped')),
      new RegExp(`"ca":"${first}","shutOut":\\[\\]`),
    );
    await fleet.must('audit', 'verify');
  });

  test('finish --force: who is shut out is told, with the way back', async () => {
    await fleet.stopAgent('prod-2');
    await expect(0, 'controller', 'controller', 'ca', 'rotate');
    await fleet.until('admin is behind no more', async () => {
      await fleet.must('whoami');
      return !(await behind()).includes('user admin');
    });
    const { code, stderr } = await fleet.run('controller', ['controller', 'ca', 'finish', '--force']);
    assert.equal(code, 0);
    assert.match(stderr, /^host prod-2 is shut out: kompose tokens create --role agent --replace prod-2/m);
    assert.match(stderr, /^user vera is shut out: kompose users remove vera, then kompose users add vera/m);
    // Who comes before the controller that serves has dropped the old one still follows.
    await untilTrusts('prod-1', ...trustOf(await trusted('controller')));
    const refused = await fleet.run('vera', ['whoami']);
    assert.equal(refused.code, 6);
    assert.match(refused.stderr, /its certificate is not one of the fleet that this identity belongs to/);
    const token = await fleet.must('tokens', 'create', '--role', 'agent', '--replace', 'prod-2');
    await expect(0, 'prod-2', ...join3(token.trim(), 'prod-2'), '--replace');
    await fleet.startAgent('prod-2');
  });
});
