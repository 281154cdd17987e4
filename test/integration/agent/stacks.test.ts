import assert from 'node:assert/strict';
import { appendFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { composeFileNames, discoverStacks, findStack } from '../../../agent/stacks/discovery.ts';
import { takeInventory, watchInventory } from '../../../agent/stacks/inventory.ts';
import { askStatus } from '../../../agent/stacks/status.ts';
import type { StackSummary } from '../../../common/inventory.ts';
import { Bench } from './bench.ts';

async function names(root: string): Promise<string[]> {
  return (await discoverStacks(root)).map(({ name }) => name);
}

describe('a stack', () => {
  test('is a real, visible folder with a compose file', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('news');
    await bench.stack('blog');
    await bench.stack('.hidden');
    await bench.stack('with space');
    await mkdir(join(bench.root, 'empty'));
    await writeFile(join(bench.root, 'compose.yaml'), '');
    await writeFile(join(bench.root, 'file'), '');
    await symlink('news', join(bench.root, 'link'));
    await mkdir(join(bench.root, 'deep/er'), { recursive: true });
    await writeFile(join(bench.root, 'deep/er/compose.yaml'), '');
    await mkdir(join(bench.root, 'folder/compose.yaml'), { recursive: true });
    await mkdir(join(bench.root, 'dangling'));
    await symlink('nowhere', join(bench.root, 'dangling/compose.yaml'));
    assert.deepEqual(await names(bench.root), ['blog', 'news', 'with space']);
  });

  for (const [at, composeFile] of composeFileNames.entries()) {
    test(`has ${composeFile} where that is the first of compose’s own`, async (t) => {
      const bench = await Bench.create(t);
      const folder = join(bench.root, 'sexy');
      await mkdir(folder);
      for (const file of composeFileNames.slice(at)) await writeFile(join(folder, file), '');
      assert.equal((await discoverStacks(bench.root))[0]?.composeFile, composeFile);
      assert.equal((await findStack(bench.root, 'sexy'))?.composeFile, composeFile);
    });
  }

  test('is told with what its folder holds', async (t) => {
    const bench = await Bench.create(t);
    const files = {
      'app_20260101_120000.sql': '',
      'app_20260101_120001.sql.gz': '',
      'app_2026.sql': '',
      'notes.sql': '',
      'compose.yaml': 'services:\n  web: {}\n  db: {}\n',
    };
    await bench.stack('sexy', {
      hooks: 'hook_pre_up() { :; }\nhook_post_db_export() { :; }',
      env: 'A=1',
      files,
    });
    assert.deepEqual(await takeInventory(bench.root, bench.host.hooksParser, bench.host.composeFiles), [
      {
        name: 'sexy',
        composeFile: 'compose.yaml',
        hooks: ['hook_post_db_export', 'hook_pre_up'],
        hasEnvFile: true,
        dumps: 2,
        services: ['web', 'db'],
      },
    ]);
  });

  for (const name of ['../stacks/sexy', '..', '.', '', 'link', 'sexy/', '.hidden', 'none', './sexy']) {
    test(`is not found as ${JSON.stringify(name)}`, async (t) => {
      const bench = await Bench.create(t);
      await bench.stack('sexy');
      await bench.stack('.hidden');
      await symlink('sexy', join(bench.root, 'link'));
      assert.equal(await findStack(bench.root, name), undefined);
      const task = await bench.run({ stack: name });
      assert.equal(task.end.state, 'failed');
      assert.deepEqual(task.steps, []);
    });
  }

  test('with a hooks.sh that leads nowhere does not hide the others', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('news');
    const folder = await bench.stack('sexy');
    await symlink('hooks.sh', join(folder, 'hooks.sh'));
    const stacks = await takeInventory(bench.root, bench.host.hooksParser, bench.host.composeFiles);
    assert.deepEqual(
      stacks.map(({ name }) => name),
      ['news', 'sexy'],
    );
  });

  test('is asked of the engine for what runs', async (t) => {
    const bench = await Bench.create(t);
    const line = (folder: string, service: string): string => `echo '["${folder}","${service}"]'`;
    const lines = [
      line(join(bench.root, 'sexy'), 'web'),
      line(join(bench.root, 'sexy'), 'db'),
      line(join(bench.root, 'sexy'), 'web'),
      line('/elsewhere/sexy', 'other'),
    ];
    await writeFile(join(bench.folder, 'bin/docker'), `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 });
    assert.deepEqual(await askStatus(bench.root, bench.host.agentEnv), [
      { name: 'sexy', servicesUp: ['db', 'web'] },
    ]);
    await writeFile(join(bench.folder, 'bin/docker'), '#!/bin/sh\necho no engine >&2; exit 1\n', {
      mode: 0o755,
    });
    await assert.rejects(askStatus(bench.root, bench.host.agentEnv), {
      code: 'failed',
      message: 'no engine',
    });
  });
});

/** A second is promised; what a busy machine adds is not the watch's fault. */
const patienceMs = 1500;

/** The inventories of a root as they come, each in time. */
class Watch {
  readonly #stop = new AbortController();
  readonly #inventories: AsyncGenerator<StackSummary[]>;
  readonly #failed = Promise.withResolvers<void>();

  constructor(t: TestContext, bench: Bench) {
    const take = (): Promise<StackSummary[]> =>
      takeInventory(bench.root, bench.host.hooksParser, bench.host.composeFiles).catch((error: unknown) => {
        this.#failed.resolve();
        throw error;
      });
    this.#inventories = watchInventory(take, this.#stop.signal);
    t.after(() => this.#stop.abort());
  }

  /** Resolves when the root could not be read. */
  get failed(): Promise<void> {
    return this.#failed.promise;
  }

  async next(): Promise<StackSummary[]> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error('not told in time')), patienceMs);
    try {
      const { value, done } = await Promise.race([this.#inventories.next(), late.promise]);
      if (done === true) throw new Error('the watch has ended');
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  async names(): Promise<string[]> {
    return (await this.next()).map(({ name }) => name);
  }

  /** Until one holds what is wanted. */
  async until(wanted: (stacks: StackSummary[]) => boolean): Promise<void> {
    while (!wanted(await this.next()));
  }
}

describe('a stacks root', () => {
  test('is told at once, and again within a second of each change', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy');
    const watch = new Watch(t, bench);
    assert.deepEqual(await watch.names(), ['sexy']);
    await bench.stack('blog');
    await watch.until((stacks) => stacks.length === 2);
    const folder = await bench.stack('sexy', { hooks: 'hook_pre_up() { :; }\n' });
    await watch.until((stacks) => stacks[1]?.hooks.length === 1);
    await appendFile(join(folder, 'hooks.sh'), 'hook_post_up() { :; }\n');
    await watch.until((stacks) => stacks[1]?.hooks.length === 2);
    await rename(join(folder, 'compose.yaml'), join(folder, 'compose.yml'));
    await watch.until((stacks) => stacks[1]?.composeFile === 'compose.yml');
    await writeFile(join(folder, '.env'), '');
    await watch.until((stacks) => stacks[1]?.hasEnvFile === true);
    await rm(join(bench.root, 'blog'), { recursive: true });
    await watch.until((stacks) => stacks.length === 1);
  });

  test('is told of again when it was away for a while', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy');
    const watch = new Watch(t, bench);
    assert.deepEqual(await watch.names(), ['sexy']);
    await rename(bench.root, join(bench.folder, 'away'));
    const next = watch.next();
    next.catch(() => undefined);
    await watch.failed;
    await rename(join(bench.folder, 'away'), bench.root);
    await bench.stack('blog');
    if ((await next).length < 2) await watch.until((stacks) => stacks.length === 2);
  });

  test('that cannot be read is a failure with its name', async (t) => {
    const bench = await Bench.create(t);
    await assert.rejects(discoverStacks(join(bench.folder, 'none')), {
      code: 'failed',
      message: `the stacks root ${join(bench.folder, 'none')} cannot be read`,
    });
  });
});
