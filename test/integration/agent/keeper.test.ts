import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findKeeperTools } from '../../../agent/process/find-program.ts';
import { discardKept } from '../../../agent/process/keeper-folder.ts';
import { noStatus, type KeeperTools } from '../../../agent/process/keeper.ts';
import { adoptKept, startKept, type KeptProcess } from '../../../agent/process/kept-process.ts';
import { processStart } from '../../../agent/process/process-identity.ts';
import { takeAllDescriptors } from './descriptors.ts';
import { endProcess, isAlive, until } from './processes.ts';

/*
 * What keeps a step, when one of its processes or its files fails it: a real bash, real dd, real kills.
 */

class KeptScript {
  readonly base: string;
  readonly folder: string;
  readonly process: KeptProcess;
  #output = '';
  readonly #taken = { stdout: 0, stderr: 0 };

  private constructor(base: string, script: string, tools: KeeperTools) {
    this.base = base;
    this.folder = join(base, 'step');
    const env = { PATH: process.env['PATH'] ?? '' };
    this.process = startKept({
      argv: ['bash', '-c', script],
      cwd: base,
      env,
      folder: this.folder,
      mark: `K${process.pid}`,
      tools,
      onOutput: (stream, chunk) => {
        this.#output += Buffer.from(chunk).toString();
        this.#taken[stream] += chunk.length;
        this.process.release(stream, this.process.locate(stream, this.#taken[stream]).piece);
      },
    });
  }

  /** `dd`: bash in place of the real one, which is `$DD`. */
  static async start(t: TestContext, script: string, dd?: string): Promise<KeptScript> {
    const base = await mkdtemp(join(tmpdir(), 'kompose-keeper-'));
    await mkdir(join(base, 'step'), { mode: 0o700 });
    const tools = findKeeperTools(process.env['PATH'] ?? '');
    assert.ok(tools !== undefined);
    const path = join(base, 'dd');
    if (dd !== undefined) await writeFile(path, `#!/bin/bash\nDD=${tools.dd}\n${dd}\n`, { mode: 0o755 });
    const kept = new KeptScript(base, script, dd === undefined ? tools : { ...tools, dd: path });
    t.after(async () => {
      await kept.process.terminate(0);
      await discardKept(kept.folder);
      await rm(base, { recursive: true, force: true });
    });
    return kept;
  }

  get output(): string {
    return this.#output;
  }

  has(name: string): boolean {
    return existsSync(join(this.folder, name));
  }

  /** The dd that takes its stdout now, and the bash that started it. */
  async taker(): Promise<{ dd: number; bash: number }> {
    let found: { dd: number; bash: number } | undefined;
    await until('a dd takes its stdout', () => (found = ddOf(join(this.folder, 'stdout.'))) !== undefined);
    assert.ok(found !== undefined);
    return found;
  }
}

function ddOf(pieces: string): { dd: number; bash: number } | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!words[0]?.endsWith('/dd') || !words.some((word) => word.startsWith(`of=${pieces}`))) continue;
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return { dd: Number(pid), bash: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) };
    } catch {
      // It has ended meanwhile.
    }
  }
  return undefined;
}

const numbers = (count: number): string => Array.from({ length: count }, (_, at) => `${at + 1}\n`).join('');

test('loses nothing when there is no room for a piece’s name for a while', async (t) => {
  // The second and the third piece cannot be made, twice each.
  const dd = `tries="$0.\${!###*.}"
    case "\${!#}" in of=*/stdout.[12]) echo x >>"$tries"; [[ $(wc -l <"$tries") -gt 2 ]] || exit 1 ;; esac
    exec "$DD" "$@"`;
  const kept = await KeptScript.start(t, 'seq 2000000', dd);
  assert.deepEqual(await kept.process.ended, { exitCode: 0 });
  assert.ok(kept.output === numbers(2_000_000));
  assert.equal(kept.has('torn'), false);
});

test('goes on when the dd of a silent step is killed, again and again', async (t) => {
  const kept = await KeptScript.start(t, 'until [[ -e go ]]; do sleep 0.01; done; seq 20000');
  for (let time = 0; time < 6; time++) {
    const { dd } = await kept.taker();
    process.kill(dd, 'SIGKILL');
    await until('it is gone', () => !isAlive(dd));
  }
  await writeFile(join(kept.base, 'go'), '');
  assert.deepEqual(await kept.process.ended, { exitCode: 0 });
  assert.equal(kept.output, numbers(20_000));
});

test('ends, and says that output is missing, when the bash that takes it was killed', async (t) => {
  const kept = await KeptScript.start(
    t,
    'trap "" PIPE; echo early; until [[ -e go ]]; do sleep 0.01; done; echo late 2>/dev/null; exit 0',
  );
  await until('it has shown something', () => kept.output === 'early\n');
  const { dd, bash } = await kept.taker();
  for (const pid of [bash, dd]) process.kill(pid, 'SIGKILL');
  await writeFile(join(kept.base, 'go'), '');
  assert.deepEqual(await kept.process.ended, { exitCode: 0 });
  assert.equal(kept.output, 'early\n');
  assert.equal(kept.has('torn'), true);
});

test('a step ends whose background job writes without a pause', async (t) => {
  const kept = await KeptScript.start(t, 'echo own; yes & echo $! >job.new; mv job.new job');
  await until('the job runs', () => existsSync(join(kept.base, 'job')));
  const job = Number(await readFile(join(kept.base, 'job'), 'utf8'));
  t.after(() => endProcess(job));
  assert.deepEqual(await kept.process.ended, { exitCode: 0 });
  assert.match(kept.output, /^(y\n)*own\n/);
  assert.ok(isAlive(job));
});

test('a step whose background job has its pipes ends only when a slow dd has taken what it wrote', async (t) => {
  const kept = await KeptScript.start(t, 'echo own; sleep 1000 & echo $! >job', 'sleep 0.5; exec "$DD" "$@"');
  await until('the job runs', () => existsSync(join(kept.base, 'job')));
  const job = Number(await readFile(join(kept.base, 'job'), 'utf8'));
  t.after(() => endProcess(job));
  assert.deepEqual(await kept.process.ended, { exitCode: 0 });
  assert.equal(kept.output, 'own\n');
});

/** As a keeper leaves it. */
async function leftFolder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-keeper-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

test('a step ends whose keeper was killed just after its status, while a background job has its pipes', async (t) => {
  const status = '0\n'.padEnd(16);
  const folder = await leftFolder(t, { keeper: '4194305 1\n', status, 'stdout.0': 'all\n', 'stderr.0': '' });
  let output = '';
  const onOutput = (_: string, chunk: Uint8Array): void => void (output += Buffer.from(chunk).toString());
  assert.deepEqual(await adoptKept({ folder, onOutput }).ended, { exitCode: 0 });
  assert.equal(output, 'all\n');
});

test('what runs is not taken for gone while no descriptor is left to look at it', async (t) => {
  const keeper = `${process.pid} ${processStart(process.pid) ?? ''}\n`;
  const folder = await leftFolder(t, { keeper, status: noStatus, 'stdout.0': 'early\n' });
  let output = '';
  const onOutput = (_: string, chunk: Uint8Array): void => void (output += Buffer.from(chunk).toString());
  const kept = adoptKept({ folder, onOutput });
  await until('it has shown something', () => output === 'early\n');
  // What it can still ask of the keeper.
  const asks = t.mock.method(process, 'kill');
  const giveBack = takeAllDescriptors();
  await until('it has looked twice', () => asks.mock.callCount() >= 2);
  giveBack();
  await writeFile(join(folder, 'stdout.1'), 'late\n');
  for (const name of ['stdout.end', 'stderr.end', 'drained']) await writeFile(join(folder, name), '');
  await writeFile(join(folder, 'status'), '3\n');
  assert.deepEqual(await kept.ended, { exitCode: 3 });
  assert.equal(output, 'early\nlate\n');
});
