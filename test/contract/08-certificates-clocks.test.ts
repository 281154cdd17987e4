import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { trustOf } from '../../proto/trust.ts';
import { ShiftedClock } from '../fleet/shifted-clock.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/*
 * A fleet that lives through months: the clocks that its programs see are set, the programs are the real ones with the
 * usual lives of certificates. `slow` and `fast` are hosts whose own clocks are wrong besides.
 */
const dayMs = 86_400_000;

let fleet: StubFleet;
let clock: ShiftedClock;
let slow: ShiftedClock;
let fast: ShiftedClock;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'slow', 'fast', 'away');
  const file = (name: string): string => join(fleet.folder, `clock-${name}`);
  clock = await ShiftedClock.make(file('all'), '+0d');
  slow = await ShiftedClock.make(file('slow'), '-5h');
  fast = await ShiftedClock.make(file('fast'), '+5h');
  for (const host of ['prod-1', 'slow', 'fast', 'away']) await fleet.stopAgent(host);
  await fleet.stopController();
  Object.assign(fleet.env, clock.env, { KOMPOSE_HEARTBEAT: '300ms' });
  Object.assign(fleet.envOf, { slow: slow.env, fast: fast.env });
  await fleet.startController();
  for (const host of ['prod-1', 'slow', 'fast']) await fleet.startAgent(host);
});
after(() => fleet.stop());

/** So many days after the beginning, for all; those with wrong clocks stay as far off. */
async function letPass(days: number): Promise<void> {
  await clock.set(`+${days}d`);
  await slow.set(`+${days * 24 - 5}h`);
  await fast.set(`+${days * 24 + 5}h`);
}

async function certificateOf(host: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(join(fleet.home(host), 'agent/agent.crt')));
}

/** Days from the real now to the end of a host's certificate. */
async function daysLeft(host: string): Promise<number> {
  return Math.round(((await certificateOf(host)).validToDate.getTime() - Date.now()) / dayMs);
}

async function untilOnline(...hosts: string[]): Promise<void> {
  for (;;) {
    const rows = await fleet.objects('hosts');
    if (hosts.every((host) => rows.some(({ name, online }) => name === host && online === true))) return;
  }
}

async function findings(check: string): Promise<Record<string, unknown>[]> {
  return (await fleet.objects('doctor')).filter((finding) => finding['check'] === check);
}

describe('agents', () => {
  test('whose clocks are wrong by hours are linked, and doctor tells', async () => {
    await untilOnline('slow', 'fast');
    const { code, stdout } = await fleet.kompose('{slow,fast}:sexy', 'ps');
    assert.equal(code, 0, stdout);
    const told = async (host: string): Promise<unknown> =>
      (await findings(`host ${host}`)).find(({ status }) => status === 'warn')?.['text'];
    assert.match(String(await told('slow')), /its clock is 1\d{4}\.\d s behind the controller's/);
    assert.match(String(await told('fast')), /its clock is 1\d{4}\.\d s before the controller's/);
  });

  test('renew after days without a controller, by its clock whatever theirs, without being started anew', async () => {
    const first = await Promise.all(['prod-1', 'slow', 'fast'].map(daysLeft));
    assert.deepEqual(first, [90, 90, 90]);
    await fleet.stopController();
    await letPass(75);
    await fleet.startController();
    for (const host of ['prod-1', 'slow', 'fast'])
      await fleet.until(`${host} has renewed`, async () => (await daysLeft(host)) !== 90);
    assert.deepEqual(await Promise.all(['prod-1', 'slow', 'fast'].map(daysLeft)), [165, 165, 165]);
    await untilOnline('prod-1', 'slow', 'fast');
    assert.equal((await fleet.kompose('--offline', 'skip', '*:sexy', 'ps')).code, 0);
  });

  test('whose clocks are wrong by hours follow to a new CA', async () => {
    const { code } = await fleet.run('controller', ['controller', 'ca', 'rotate']);
    assert.equal(code, 0);
    const trusted = async (host: string): Promise<number> =>
      trustOf(await readFile(join(fleet.home(host), 'agent/ca.crt'), 'utf8')).length;
    for (const host of ['prod-1', 'slow', 'fast'])
      await fleet.until(`${host} trusts both`, async () => (await trusted(host)) >= 2);
    await untilOnline('prod-1', 'slow', 'fast');
    assert.equal((await fleet.kompose('--offline', 'skip', '*:sexy', 'ps')).code, 0);
  });
});

describe('a certificate that nobody renews', () => {
  test('is told before it ends by hosts ls and doctor', async () => {
    await letPass(80);
    assert.match(await fleet.must('hosts'), /^away +offline, certificate ends in 9 days/m);
    const warned = (await findings('host away')).find(({ status }) => status === 'warn');
    assert.match(String(warned?.['text']), /the certificate ends in 9 days, at 20/);
    assert.match(String(warned?.['remedy']), /see that its agent runs and is linked/);
  });

  test('is still renewed on its last day', async () => {
    await letPass(89);
    await fleet.startAgent('away');
    await fleet.until('it has renewed', async () => (await daysLeft('away')) !== 90);
    await untilOnline('away');
    await fleet.stopAgent('away');
  });

  test('ends, which hosts ls and doctor tell with the way back, and the agent too', async () => {
    await fleet.stopController();
    await letPass(89 + 91);
    await fleet.startController();
    assert.match(await fleet.must('hosts'), /^away +offline, certificate expired/m);
    const failed = (await findings('host away')).find(({ text }) => /expired/.test(String(text)));
    assert.equal(failed?.['status'], 'fail');
    assert.match(String(failed['remedy']), /tokens create --role agent --replace away/);
    const { code, stderr } = await fleet.run('away', ['agent', 'serve']);
    assert.equal(code, 5);
    assert.match(stderr, /no valid client certificate .*expired.*kompose agent join TOKEN/);
    const own = await fleet.run('away', ['agent', 'doctor']);
    assert.match(own.stdout, /fail +certificate +the certificate expired at .*agent join TOKEN --replace/);
  });

  test('of a user is told by doctor and whoami’s refusal, with the way back', async () => {
    const token = (await fleet.must('tokens', 'create', '--role', 'viewer', '--name', 'vera')).trim();
    assert.equal((await fleet.run('vera', ['login', token])).code, 0);
    await letPass(180 + 366);
    await fleet.stopController();
    await fleet.startController();
    const { code, stdout } = await fleet.run('vera', ['doctor']);
    assert.equal(code, 1);
    assert.match(stdout, /^fail +login +the certificate expired at .*ask an admin for a token/m);
    assert.equal((await fleet.run('vera', ['whoami'])).code, 5);
  });
});
