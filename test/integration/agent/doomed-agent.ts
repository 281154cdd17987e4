import { pino } from 'pino';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import { defaultSpec, taskHost } from './bench.ts';

/*
 * An agent's task registry in a process of its own, to be killed: doomed-agent.ts ROOT TASKS-FOLDER PATH. It starts
 * one task, `up` on `sexy`, and says so.
 */
const [root = '', tasksFolder = '', path = ''] = process.argv.slice(2);
const host = taskHost(root, { PATH: path }, process.getuid?.() ?? 0);
const registry = await TaskRegistry.open(host, tasksFolder, pino({ level: 'silent' }));
registry.start({ ...defaultSpec, task: 'T1' });
process.stdout.write('started\n');
