import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import { eventsOf, lastAgent, outputOf, startAndKill, storyOf, wholeStory as whole } from './agents.ts';
import { Bench, defaultSpec, type StackFiles } from './bench.ts';

/*
 * An agent is killed just after an event of a task, each of them in turn, and the next one goes on: the story is the same,
 * and everything was done once.
 */

const step = (name: string): string => `echo x >>${name}; echo ${name}`;
const hooks = (command: string): string =>
  `hook_pre_${command}() { ${step('pre')}; export A=1; }\nhook_post_${command}() { ${step('post')}; echo "$A $*"; }`;

interface Case extends Pick<TaskSpec, 'command' | 'args'> {
  readonly files: StackFiles;
  /** What the action shows. */
  readonly action: (folder: string) => string;
  readonly post: (folder: string) => string;
  /** Events after which the agent itself was at work, and nobody knows how far it came. */
  readonly lostAfter: readonly number[];
}

const dump = 'app_20260102_030405.sql';

const cases: readonly Case[] = [
  {
    command: 'up',
    args: ['-d'],
    files: { hooks: hooks('up'), action: step('action') },
    action: () => 'action\n',
    post: () => 'post\n1 up -d\n',
    lostAfter: [],
  },
  {
    command: 'db:cleanup',
    args: ['--keep', '0'],
    files: {
      hooks: hooks('db_cleanup'),
      env: 'DB_NAME=app\nDB_HOST=127.0.0.1\n',
      files: {
        [dump]: 'select 1;\n',
      },
    },
    action: (folder) => `removed ${join(folder, dump)}\n`,
    post: (folder) => `post\n1 ${join(folder, dump)}\n`,
    lostAfter: [6, 7],
  },
];

for (const { command, args, files, action, post, lostAfter } of cases)
  for (let event = 1; event <= whole.length + 3; event++)
    test(`goes on with ${command} whose agent was killed just after its event ${event}`, async (t) => {
      const bench = await Bench.create(t);
      const folder = await bench.stack('sexy', files);
      const spec = { ...defaultSpec, task: `${defaultSpec.task}${event}`, command, args };
      await startAndKill(bench, spec, event);
      const registry = await lastAgent(t, bench);
      const spool = registry.spool(spec.task);
      assert.ok(spool !== undefined);
      const events = await eventsOf(spool);
      const story = storyOf(events).filter((each) => each !== 'notice');
      if (lostAfter.includes(event)) return assert.deepEqual(story, [...whole.slice(0, 4), 'lost']);
      assert.deepEqual(story, whole);
      assert.equal(outputOf(events, 'pre').toString(), 'pre\n');
      assert.equal(outputOf(events, 'action').toString(), action(folder));
      assert.equal(outputOf(events, 'post').toString(), post(folder));
      for (const name of ['pre', 'post']) assert.equal(await readFile(join(folder, name), 'utf8'), 'x\n');
      await registry.settled();
    });
