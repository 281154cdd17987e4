import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { CommandOptions } from '../fleet/kompose-fleet.ts';
import { containers, endFleet, startFleet, untilKnown, writeStacks } from '../e2e/support.ts';

const fleet = await startFleet(['prod-1', 'prod-2']);
after(() => endFleet(fleet));
const stacks = { 'prod-1:sexy': {}, 'prod-1:news': {}, 'prod-2:sexy': {}, 'prod-2:hosts': {} };
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);

/** One clear line on stderr, nothing on stdout, and this exit code. */
async function assertRefused(
  args: readonly string[],
  exitCode: number,
  line: RegExp,
  options: CommandOptions = {},
): Promise<void> {
  const result = await fleet.kompose(args, options);
  assert.equal(result.stdout, '');
  assert.match(result.stderr, /^kompose: [^\n]+\n$/);
  assert.match(result.stderr, line);
  assert.equal(result.exitCode, exitCode, result.stderr);
}

describe('a typing mistake is refused in one line', { concurrency: 4, timeout: 60_000 }, () => {
  const rows: readonly (readonly [args: readonly string[], exitCode: number, line: RegExp])[] = [
    [[], 2, /kompose --help/],
    [['sexy'], 2, /no command for "sexy"/],
    [['sexi', 'ps'], 3, /nothing matches sexi; did you mean sexy\?/],
    [['prod-1:sexi', 'ps'], 3, /did you mean prod-1:sexy/],
    [['prod-1:hosts', 'ps'], 3, /did you mean .*prod-2:hosts/],
    [['-H', 'prod1', 'sexy', 'ps'], 3, /no host matches prod1; did you mean prod-1/],
    [['-L', 'env=test', 'sexy', 'ps'], 3, /no host matches env=test/],
    [['tokns', 'ls'], 3, /nothing matches tokns.*did you mean kompose tokens\?/],
    [['hots'], 2, /did you mean kompose hosts\?/],
    [['hosts', 'shwo', 'prod-1'], 2, /hosts has no verb "shwo": did you mean show\?/],
    [['hosts', 'show', 'prod1'], 3, /no host "prod1": did you mean "prod-1"/],
    [['hosts', 'show'], 2, /missing required argument 'host'/],
    [['hosts', 'remove', 'prod-9'], 3, /there is no host prod-9/],
    [['runs', 'attach', '01NOSUCHRUN'], 3, /there is no run 01NOSUCHRUN/],
    [['runs', 'cancel', '01NOSUCHRUN'], 3, /there is no run 01NOSUCHRUN/],
    [['users', 'remove', 'nobody'], 3, /there is no user nobody/],
    [['--hots', 'prod-1', 'sexy', 'ps'], 2, /unknown option '--hots'/],
    [['-Z', 'sexy', 'ps'], 2, /unknown option '-Z'/],
    [['-e'], 2, /'-e, --env <k=v>' argument missing/],
    [['-e', 'NAME', 'sexy', 'ps'], 2, /bad variable "NAME": it has no "="/],
    [['-e', '1A=b', 'sexy', 'ps'], 2, /bad name of a variable "1A"/],
    [['-e', '=b', 'sexy', 'ps'], 2, /bad name of a variable ""/],
    [['--timeout', '5x', 'sexy', 'ps'], 2, /bad duration "5x"/],
    [['--timeout', '', 'sexy', 'ps'], 2, /bad duration ""/],
    [['-o', 'xml', 'sexy', 'ps'], 2, /bad value "xml" of --output/],
    [['[a', 'ps'], 2, /bad pattern "\[a"/],
    [['{a', 'ps'], 2, /bad pattern "\{a"/],
    [['', 'ps'], 2, /bad pattern ""/],
    [['prod-1:', 'ps'], 2, /no stack after the ":"/],
    [['sexy,,news', 'ps'], 2, /the term at character 6 is empty/],
    [['sexy', '-p', 'other', 'ps'], 2, /bad command "-p".*global options cannot be given/],
    [['sexy', '--project-directory=/', 'ps'], 2, /bad command "--project-directory=\/"/],
    [['sexy', ''], 2, /the command is empty/],
    [['sexy', 'up'], 2, /up stays attached, so it takes one target, not 2; give it -d/],
    [['tokens', 'create', '--role', 'king'], 2, /there is no role "king"/],
    [['tokens', 'create'], 2, /'--role <role>' not specified/],
    [['--controller', 'nonsense', 'sexy', 'ps'], 2, /"nonsense" is not an address: write HOST:PORT/],
    [['--controller', '127.0.0.1:1', 'sexy', 'ps'], 6, /cannot reach the controller at 127\.0\.0\.1:1/],
    [['--context', 'other', 'sexy', 'ps'], 5, /not logged in: there is no context "other"/],
  ];
  for (const [args, exitCode, line] of rows) {
    it(`kompose ${args.join(' ')} → ${exitCode}`, () => assertRefused(args, exitCode, line));
  }
});

describe('somebody without the right', { timeout: 60_000 }, () => {
  const home = (name: string): CommandOptions => ({ home: join(fleet.folder, name) });
  before(async () => {
    const token = await fleet.token('--role', 'viewer', '--name', 'vera');
    assert.equal((await fleet.kompose(['login', token], home('vera'))).exitCode, 0);
  });

  it('who is not logged in is told how to', async () => {
    await assertRefused(
      ['sexy', 'ps'],
      5,
      /not logged in to a controller: run kompose login TOKEN/,
      home('nobody'),
    );
    await assertRefused(['hosts'], 5, /not logged in/, home('nobody'));
  });

  it('cannot log in with a token that is used up, expired, revoked, made up or for a host', async () => {
    const used = await fleet.token('--role', 'viewer');
    assert.equal((await fleet.kompose(['login', used], home('first'))).exitCode, 0);
    const expired = await fleet.token('--role', 'viewer', '--ttl', '1ms');
    const { stdout } = await fleet.kompose(['tokens', 'create', '--role', 'viewer', '-o', 'json']);
    const revoked = JSON.parse(stdout) as { id: string; token: string };
    assert.equal((await fleet.kompose(['tokens', 'revoke', revoked.id])).exitCode, 0);
    const forHosts = await fleet.token('--role', 'agent');
    const madeUp = forged(used, 2);
    for (const token of [used, expired, revoked.token, forHosts, madeUp]) {
      await assertRefused(
        ['login', token],
        5,
        /this token is not valid \(any more\): ask an admin/,
        home('second'),
      );
    }
    await assertRefused(['login', 'bogus'], 2, /this is not a kompose token/, home('second'));
    await assertRefused(['login', used.slice(0, -1)], 2, /this is not a kompose token/, home('second'));
    await assertRefused(['sexy', 'ps'], 5, /not logged in/, home('second'));
  });

  it('does not give a token away to a controller that is not the one it names', async () => {
    const token = await fleet.token('--role', 'viewer');
    await assertRefused(
      ['login', forged(token, 1)],
      5,
      /is not the one that made this token/,
      home('fooled'),
    );
    assert.equal((await fleet.kompose(['login', token], home('fooled'))).exitCode, 0);
  });

  it('and only reads is denied what changes something, target by target, and nothing starts', async () => {
    const several = await fleet.kompose(['sexy', 'up', '-d'], home('vera'));
    assert.equal(several.exitCode, 5);
    assert.equal(several.stdout, '');
    for (const target of ['prod-1:sexy', 'prod-2:sexy']) {
      assert.match(
        several.stderr,
        new RegExp(`^denied +${target} .*up needs the role operator; yours is viewer$`, 'm'),
      );
    }
    const one = await fleet.kompose(['news', 'up', '-d'], home('vera'));
    assert.equal(one.exitCode, 5);
    assert.equal(one.stderr, 'prod-1:news denied: up needs the role operator; yours is viewer\n');
    assert.equal(
      (await fleet.kompose(['-e', 'DOCKER_HOST=tcp://x', 'news', 'ps'], home('vera'))).exitCode,
      5,
    );
    await assertRefused(
      ['tokens', 'ls'],
      5,
      /listing tokens needs the role admin; yours is viewer/,
      home('vera'),
    );
    await assertRefused(['hosts', 'remove', 'prod-1'], 5, /needs the role admin/, home('vera'));
    assert.equal((await fleet.kompose(['sexy', 'ps'], home('vera'))).exitCode, 0);
    assert.deepEqual(await containers(fleet, 'prod-1'), []);
  });

  it('any more, because he was removed, is told so', async () => {
    assert.equal((await fleet.kompose(['users', 'remove', 'vera'])).exitCode, 0);
    await assertRefused(['sexy', 'ps'], 5, /the login of vera was removed or replaced/, home('vera'));
    await assertRefused(['whoami'], 5, /the login of vera was removed or replaced/, home('vera'));
  });
});

describe('a machine that is to be a host', { timeout: 60_000 }, () => {
  const joining = async (name: string, token: string, line: RegExp, exitCode: number): Promise<void> => {
    const folder = join(fleet.folder, 'stacks-of-a-new-host');
    await mkdir(folder, { recursive: true });
    const args = ['agent', 'join', token, '--name', name, '--stacks', folder];
    await assertRefused(args, exitCode, line, { home: join(fleet.folder, 'new-host') });
  };

  it('cannot take a name that is taken, nor join with a token of a user', async () => {
    await joining('prod-1', await fleet.token('--role', 'agent'), /there is a host prod-1 already/, 1);
    await joining('prod-3', await fleet.token('--role', 'viewer'), /this token is not valid/, 5);
    await joining('../prod', await fleet.token('--role', 'agent'), /bad host name "\.\.\/prod"/, 2);
  });

  it('cannot serve before it has joined', async () => {
    const home = join(fleet.folder, 'never-joined');
    await assertRefused(['agent', 'serve'], 1, /this machine has not joined a fleet/, { home });
    await assertRefused(['controller', 'serve'], 1, /there is no controller in/, { home });
  });
});

describe('a controller that is down', { timeout: 60_000 }, () => {
  it('is named, whatever is asked of it', async () => {
    const token = await fleet.token('--role', 'viewer');
    await fleet.kill('controller');
    const line = new RegExp(`cannot reach the controller at ${fleet.address.replaceAll('.', '\\.')}`);
    await assertRefused(['sexy', 'ps'], 6, line);
    await assertRefused(['-o', 'json', 'sexy', 'ps'], 6, line);
    await assertRefused(['hosts'], 6, line);
    await assertRefused(['login', token], 6, line, { home: join(fleet.folder, 'late') });
    await fleet.startController();
    assert.equal((await fleet.kompose(['hosts'])).exitCode, 0);
  });
});

/** A token with another first character in one of its parts: addresses, fingerprint of the CA, secret. */
function forged(token: string, part: 1 | 2): string {
  const parts = JSON.parse(Buffer.from(token.slice('kmp1.'.length), 'base64url').toString()) as string[];
  const changed = parts.map((text, at) =>
    at === part ? text.replace(/^./, text.startsWith('A') ? 'B' : 'A') : text,
  );
  return `kmp1.${Buffer.from(JSON.stringify(changed)).toString('base64url')}`;
}
