import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { ensureParts } from '../../fleet/install.ts';
import { program } from '../../fleet/packages.ts';
import { runCli } from '../cli/cli-process.ts';
import { StubFleet } from './stub-fleet.ts';
import { kompose as entry } from '../../fleet/release.ts';

let fleet: StubFleet;

before(async () => {
  await ensureParts([program('zsh', 'zsh'), program('fish', 'fish')]);
  fleet = await StubFleet.start('prod-1', 'prod-2');
  await fleet.writeStack('prod-1', 'news');
  await fleet.untilKnown('prod-1:news');
  await writeFile(join(fleet.folder, 'prod-1.ps'), `["${fleet.stacks('prod-1')}/sexy","web"]\n`);
  const script = `#!/bin/bash\nexec ${process.execPath} ${entry} "$@"\n`;
  await writeFile(join(fleet.folder, 'bin/kompose'), script, { mode: 0o755 });
});

after(() => fleet.stop());

async function offered(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await fleet.kompose('__complete', 'zsh', '--', ...words);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  return stdout.split('\n').slice(0, -1).toSorted();
}

/** On a busy machine the second of a completion may pass before the fleet has answered: then there is another one. */
const mostTries = 5;

const fromFleet: readonly [words: string[], expected: string[]][] = [
  [
    ['-H', 'prod-1,p'],
    ['prod-1,prod-1', 'prod-1,prod-2'],
  ],
  [['se'], ['sexy']],
  [['prod-1:'], ['prod-1:news', 'prod-1:sexy']],
  [
    ['hosts', 'show', ''],
    ['prod-1', 'prod-2'],
  ],
  [['prod-1:sexy', 'logs', '-f', ''], ['web']],
  [['-H', 'prod-2', 'sexy', 'restart', ''], []],
  [['--context', ''], ['default']],
];
for (const [words, expected] of fromFleet) {
  test(`offers what the live fleet has at the end of kompose ${words.join(' ')}`, async () => {
    let found = await offered(...words);
    for (let tries = 1; tries < mostTries && found.length < expected.length; tries++) {
      found = await offered(...words);
    }
    assert.deepEqual(found, expected);
  });
}

test('says nothing and ends within a second where the controller is silent or nobody is logged in', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const silent = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const begun = performance.now();
  assert.deepEqual(await offered('--controller', silent, 'hos'), ['hosts']);
  const tookMs = performance.now() - begun;
  assert.ok(tookMs < 3000, `${tookMs} ms, on a busy machine, with a process to start and end`);
  const home = await mkdtemp(join(tmpdir(), 'kompose-complete-'));
  t.after(() => rm(home, { recursive: true }));
  const { code, stdout, stderr } = await runCli(home, '__complete', 'fish', '--', 'runs', 'show', '');
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' });
});

/** Beginning of a line, and the line once Tab was pressed. */
const lines: readonly [typed: string, completed: string][] = [
  ['kompose prod-1:se', 'kompose prod-1:sexy'],
  ['kompose who', 'kompose whoami'],
  ['kompose -H prod-1 sexy resta', 'kompose -H prod-1 sexy restart'],
  ['kompose prod-1:sexy exec w', 'kompose prod-1:sexy exec web'],
  ['kompose hosts sh', 'kompose hosts show'],
  ['kompose -o js', 'kompose -o json'],
];

function env(): Record<string, string> {
  const path = `${join(fleet.folder, 'bin')}:${process.env['PATH'] ?? ''}`;
  return {
    PATH: path,
    KOMPOSE_HOME: fleet.home('admin'),
    HOME: fleet.folder,
    TERM: 'dumb',
    SHELL: '/bin/sh',
  };
}

/** Types into a real shell on a terminal, which `script` makes; gives the first group of `line` once it shows. */
async function typed(shell: string, setUp: string, keys: string, line: RegExp): Promise<string> {
  const child = spawn('script', ['--quiet', '--return', '--command', shell, '/dev/null'], { env: env() });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const ended = once(child, 'close');
  const shows = async (what: RegExp): Promise<void> => {
    const late = AbortSignal.timeout(15_000);
    while (!what.test(text)) await once(child.stdout, 'data', { signal: late });
  };
  child.stdin.write(`${setUp}; echo re""ady\r`);
  await shows(/^ready/m);
  child.stdin.write(keys);
  await shows(line).catch((cause: unknown) => {
    throw new Error(`the shell never showed ${String(line)}: ${text}`, { cause });
  });
  child.stdin.write('exit\r');
  await ended;
  return line.exec(text)?.[1] ?? '';
}

/** What the shell puts into the line, by echoing it: Tab, to the beginning, `echo got`, Enter. */
function tabTest(shell: string, command: string, setUp: string): void {
  for (const [begun, completed] of lines) {
    test(`completes ${begun}`, async () => {
      let line = '';
      for (let tries = 0; tries < mostTries && line !== completed; tries++) {
        line = await typed(command, setUp, `${begun}\t\u0001echo got \r`, /^got (.*?) *\r?$/m);
      }
      assert.equal(line, completed);
    });
  }
}

describe('bash', () => {
  tabTest('bash', 'bash --norc --noprofile -i', 'source <(kompose completion bash)');
});

describe('zsh', () => {
  tabTest('zsh', 'zsh -f -i', 'autoload -U compinit && compinit -u -D && source <(kompose completion zsh)');
});

describe('fish', () => {
  for (const [begun, completed] of lines) {
    test(`completes ${begun}`, async () => {
      const ask = `kompose completion fish | source; complete -C '${begun}'`;
      let stdout = '';
      for (let tries = 0; tries < mostTries && stdout === ''; tries++) {
        ({ stdout } = await execa('fish', ['--no-config', '-c', ask], { env: env(), extendEnv: false }));
      }
      assert.equal(stdout, completed.split(' ').at(-1));
    });
  }
});
