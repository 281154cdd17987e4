import { join } from 'node:path';
import { pino } from 'pino';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import { taskHost } from './bench.ts';

/*
 * An agent that is killed while it starts a task, right before or right after it has noted that this begins:
 * agent-killed-at-start.ts ROOT FOLDER PATH SPEC before|after
 */
const [root = '', folder = '', path = '', spec = '', when = ''] = process.argv.slice(2);
const host = taskHost(root, { PATH: path }, process.getuid?.() ?? 0);
const tasks = await TaskRegistry.open(host, join(folder, 'tasks'), pino({ level: 'silent' }));
const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
const task = JSON.parse(spec) as TaskSpec;
const die = (): void => void process.kill(process.pid, 'SIGKILL');
tasks.start(task, () => {
  if (when === 'before') die();
  journal.begin(task.task, Date.now() + 60_000);
  die();
});
