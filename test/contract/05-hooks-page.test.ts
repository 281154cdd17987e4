import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import {
  containers,
  dockerLines,
  endFleet,
  idleService,
  outputOf,
  readStackFile,
  runJson,
  startFleet,
  writeStacks,
} from '../e2e/support.ts';

/*
 * Sections of the hooks page, with the page's own text as hooks.sh. Its examples: 05-hooks-page-examples, and
 * 05-hooks-database, which has "Testing Hooks" too; its two tables: 05-hooks-commands and 05-hooks-database.
 */
const page = new URL('../fixtures/hooks-page/', import.meta.url);
const block = (name: string): Promise<string> => readFile(new URL(`${name}.sh`, page), 'utf8');

const host = 'prod-1';
const fleet = await startFleet([host]);
after(() => endFleet(fleet));

const folder = (stack: string): string => join(fleet.stacks(host), stack);

async function place(stack: string, files: Readonly<Record<string, string>>): Promise<void> {
  await writeStacks(fleet, { [`${host}:${stack}`]: files });
}

/** What the hook of that step said, the command having succeeded. */
async function said(step: 'pre' | 'post', ...words: readonly string[]): Promise<string> {
  const { exitCode, events, stderr } = await runJson(fleet, words);
  assert.equal(exitCode, 0, stderr + outputOf(events, step));
  return outputOf(events, step);
}

/** A line that somebody types in the stacks root. */
function typed(line: string) {
  const options = { cwd: fleet.stacks(host), env: { KOMPOSE_TASK_ID: undefined }, stdin: 'ignore' } as const;
  return execa('bash', ['-c', line], { ...options, reject: false });
}

describe('Accessing Command Arguments', { timeout: 60_000 }, () => {
  before(async () =>
    place('arguments', {
      'compose.yaml': `${idleService}    build: .\n`,
      Dockerfile: 'FROM busybox:local\n',
      'hooks.sh': await block('accessing-arguments'),
    }),
  );

  it('gives the command and all its arguments', async () => {
    assert.equal(
      await said('pre', 'arguments', 'up', '-d', '--no-build'),
      ' Command: up\n All args: up -d --no-build\n',
    );
  });

  it('lets a flag be looked for', async () => {
    assert.equal(
      await said('pre', 'arguments', 'up', '-d', '--build'),
      ' Command: up\n All args: up -d --build\n Build flag detected, running pre-build tasks...\n',
    );
  });
});

describe('Available Environment Variables', { timeout: 60_000 }, () => {
  it('has each of the common variables, and the layers in their order', async () => {
    const names = [...(await block('environment-variables')).matchAll(/^\$(\w+)/gm)].map(([, name]) => name);
    assert.equal(names.length, 8);
    const hook = `${names.map((name) => `echo "${name}=$${name}"`).join('\n')}\necho "$ROOT $STACK $CLI"`;
    await place('variables', {
      'hooks.sh': `hook_pre_ps() {\n${hook}\n}\n`,
      '.env':
        'DB_NAME=app\nDB_HOST=db.local\nDB_PORT=5433\nDB_USER=ada\nDB_PASSWORD=abc\nSTACK=stack\nCLI=stack\n',
    });
    await writeFile(join(fleet.stacks(host), '.env'), 'ROOT=root\nSTACK=root\nCLI=root\nDB_NAME=root\n');
    assert.deepEqual((await said('pre', '-e', 'CLI=cli', 'variables', 'ps')).trim().split('\n'), [
      `SCRIPT_DIR=${fleet.stacks(host)}`,
      'stack=variables',
      'COMPOSE_PROJECT_NAME=variables',
      'DB_NAME=app',
      'DB_HOST=db.local',
      'DB_PORT=5433',
      'DB_USER=ada',
      'DB_PASSWORD=abc',
      'root stack cli',
    ]);
  });
});

describe('Conditional Execution', { timeout: 60_000 }, () => {
  it('runs in production only', async () => {
    await place('conditional', {
      'hooks.sh': await block('conditional-execution'),
      'production-checks.sh': '#!/bin/sh\necho checked\n',
    });
    const production = ['-e', 'ENVIRONMENT=production'];
    assert.equal(
      await said('pre', ...production, 'conditional', 'up', '-d'),
      ' Running production pre-flight checks...\nchecked\n',
    );
    assert.equal(await said('pre', '-e', 'ENVIRONMENT=staging', 'conditional', 'up', '-d'), '');
  });
});

describe('Parallel Hook Execution', { timeout: 60_000 }, () => {
  it('runs the jobs at the same time and waits for both', async () => {
    // Each goes on when the other has begun.
    const job = (own: string, other: string): string =>
      `${own}() { touch ${own}; until [[ -e ${other} ]]; do sleep 0.02; done; echo "${own} done"; }\n`;
    const jobs = job('cache_warm', 'index_rebuild') + job('index_rebuild', 'cache_warm');
    await place('parallel', { 'hooks.sh': jobs + (await block('parallel-execution')) });
    const lines = (await said('post', 'parallel', 'up', '-d')).trim().split('\n');
    assert.deepEqual(lines.toSorted(), [
      'Running parallel initialization tasks...',
      'cache_warm done',
      'index_rebuild done',
    ]);
  });
});

describe('Hook Chaining', { timeout: 60_000 }, () => {
  it('restarts the dependent stack', async () => {
    await place('front', { 'hooks.sh': await block('hook-chaining') });
    await place('dependent-stack', { 'hooks.sh': 'hook_post_restart() { echo "$stack: $*"; }\n' });
    for (const each of ['front', 'dependent-stack']) await fleet.kompose([each, 'up', '-d']);
    const started = (): Promise<string[]> =>
      dockerLines(fleet, host, 'inspect', '--format', '{{.State.StartedAt}}', 'dependent-stack-api-1');
    const earlier = await started();
    assert.match(
      await said('post', 'front', 'restart'),
      /^ Restarting dependent services\.\.\.\n[^]*^dependent-stack: restart$/m,
    );
    assert.notDeepEqual(await started(), earlier);
  });
});

describe('Best debugging approach', { timeout: 60_000 }, () => {
  it('shows in a dry run what would run, and in the hook its stack, arguments and containers', async () => {
    const text = await block('debugging');
    const [command = ''] = /^\.\/kompose\.sh .*$/m.exec(text) ?? [];
    await place('stack', { 'hooks.sh': text.replace(command, '') });
    const { stdout, exitCode } = await typed(command);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^ +action +docker compose command$/m);
    assert.match((await typed('./kompose.sh stack up -d --dry-run')).stdout, /^ +pre +hook_pre_up up -d$/m);
    assert.equal((await containers(fleet, host)).includes('stack-api-1'), false);
    await fleet.kompose(['stack', 'up', '-d']);
    assert.match(
      await said('pre', 'stack', 'up', '-d'),
      /^ \[DEBUG\] Stack: stack\n \[DEBUG\] Args: up -d\n \[DEBUG\] Container: CONTAINER ID [^]* stack-api-1$/m,
    );
  });
});

describe('Troubleshooting: hook not executing', { timeout: 60_000 }, () => {
  before(() =>
    place('silent', { 'hooks.sh': 'hook_before_ps() { echo no; }\nhook_pre_ps() { echo yes; }\n' }),
  );

  it('1. the hint to chmod is gone once it is done', async () => {
    const path = join(folder('silent'), 'hooks.sh');
    await chmod(path, 0o640);
    assert.match((await fleet.kompose(['silent', 'ps'])).stderr, /is not executable.*chmod 750 /);
    await execa('chmod', ['+x', path]);
    assert.doesNotMatch((await fleet.kompose(['silent', 'ps'])).stderr, /executable/);
  });

  it('2. a function of another name is no hook', async () => {
    assert.equal(await said('pre', 'silent', 'ps'), 'yes\n');
  });

  it('3. a dry run shows which hooks are detected', async () => {
    const { stdout } = await fleet.kompose(['silent', 'ps', '--dry-run']);
    assert.deepEqual(stdout.match(/hook_\w+/g), ['hook_pre_ps']);
  });

  it('4. bash -n tells of the same line as kompose', async () => {
    await place('broken', { 'hooks.sh': 'hook_pre_ps() {\n  if true; then\n}\n' });
    const { stderr } = await execa('bash', ['-n', join(folder('broken'), 'hooks.sh')], { reject: false });
    const [, problem = 'none'] = /: (line \d+: .*)/.exec(stderr) ?? [];
    const told = (await fleet.kompose(['broken', 'ps'])).stderr;
    assert(told.includes(`syntax error in hooks.sh: ${problem}`), told);
  });
});

describe('Troubleshooting: hook failing', { timeout: 60_000 }, () => {
  const failing = 'hook_pre_ps() {\nset -x\ndocker ps --quiet >seen\necho "$OF_ENV"\nreturn "$CODE"\n}\n';
  before(() => place('failing', { 'hooks.sh': failing, '.env': 'OF_ENV=loaded\nCODE=1\n' }));

  it('1. set -x at the top of the hook shows each of its lines', async () => {
    const { events } = await runJson(fleet, ['failing', 'ps']);
    assert.equal(outputOf(events, 'pre', 'stderr'), '+ docker ps --quiet\n+ echo loaded\n+ return 1\n');
  });

  it('2. return 0 is success', async () => {
    assert.equal((await fleet.kompose(['-e', 'CODE=0', 'failing', 'ps'])).exitCode, 0);
  });

  it('3. docker tells the state of containers', async () => {
    const running = await dockerLines(fleet, host, 'ps', '--quiet');
    assert.equal((await readStackFile(fleet, host, 'failing', 'seen')).trim(), running.join('\n'));
  });

  it('4. the variables of .env files are loaded, and 5. the output names the hook and its code', async () => {
    const { stderr, exitCode } = await fleet.kompose(['failing', 'ps']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^loaded$/m);
    assert.match(stderr, /^prod-1:failing failed .*hook_pre_ps ended with exit code 1/m);
  });
});
