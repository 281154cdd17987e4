import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KomposeError } from '../../../../common/errors.ts';
import type { Fleet } from '../../../../controller/fleet/fleet.ts';
import type { HostSession } from '../../../../controller/fleet/host-session.ts';
import { askKeptWords } from '../../../../controller/runs/kept-words.ts';

type Answer = HostSession['maskWords'];

/** Hides one text, as a host with that secret does. */
function hiding(secret: string): Answer {
  return async ({ words }) => words.map((word) => word.replaceAll(secret, '[redacted]'));
}

const refuses: Answer = async () => {
  throw new KomposeError('unsupported', 'an old agent');
};

/** The words as they may be kept of a run on these hosts; undefined stands for one that is away. */
async function kept(
  args: string[],
  hosts: Record<string, Answer | undefined>,
  env: Record<string, string> = {},
): Promise<string[]> {
  const get = (name: string) => ({
    stacks: [{ name: 'shop', services: ['backend'] }],
    session: hosts[name] === undefined ? undefined : { maskWords: hosts[name] },
  });
  const fleet: Pick<Fleet, 'get'> = { get: get as unknown as Fleet['get'] };
  const targets = Object.keys(hosts).map((host) => ({ host, stack: 'shop' }));
  return args.map(await askKeptWords({ args, env, network: undefined }, targets, fleet));
}

test('a word is as secret as the most secretive host says', async () => {
  const hosts = { 'prod-1': hiding('nothing'), 'prod-2': hiding('s3cret') };
  assert.deepEqual(await kept(['exec', 'a s3cret b', 'plain'], hosts), ['exec', 'a [redacted] b', 'plain']);
});

test('a word of which two hosts hide different parts is hidden whole', async () => {
  const hosts = { 'prod-1': hiding('user'), 'prod-2': hiding('pass') };
  assert.deepEqual(await kept(['user:pass', 'user'], hosts), ['[redacted]', '[redacted]']);
});

for (const [what, answer] of [
  ['is away', undefined],
  ['cannot mask', refuses],
] as const) {
  test(`where a host ${what}, a word that might hold a secret is hidden whole`, async () => {
    const hosts = { 'prod-1': hiding('s3cret'), 'prod-2': answer };
    const args = ['-d', '--force-recreate', 'backend', 'a s3cret', 'select 1'];
    const hidden = ['-d', '--force-recreate', 'backend', '[redacted]', '[redacted]'];
    assert.deepEqual(await kept(args, hosts), hidden);
  });
}

test('nobody is asked about words that cannot hold a secret', async () => {
  const asks: Answer = () => assert.fail('it was asked');
  const args = ['-d', '--wait', '--scale', 'backend=3', 'backend', 'shop', 'prod-1'];
  assert.deepEqual(await kept(args, { 'prod-1': asks }), args);
});

test('what the request itself tells is hidden also in words that nobody is asked about', async () => {
  const asks: Answer = () => assert.fail('it was asked');
  const env = { API_KEY: 'always' };
  assert.deepEqual(await kept(['--pull', 'always'], { 'prod-1': asks }, env), ['--pull', '[redacted]']);
});

test('an answer that does more than hide parts of a word hides all of it', async () => {
  const saying =
    (answer: string): Answer =>
    async ({ words }) =>
      words.map(() => answer);
  const word = 'rm -rf /srv/data now';
  for (const lie of ['ps', 'rm -rf /tmp', '[redacted] later', 'now[redacted]rm', `${word}[redacted]${word}`])
    assert.deepEqual(await kept([word], { 'prod-1': saying(lie) }), ['[redacted]'], lie);
  const honest = 'rm -rf [redacted] now';
  assert.deepEqual(await kept([word], { 'prod-1': saying(honest) }), [honest]);
});
