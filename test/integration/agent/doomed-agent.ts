import { pino } from 'pino';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import { taskHost } from './bench.ts';

/*
 * An agent's task registry in a process of its own, to be killed: doomed-agent.ts ROOT TASKS-FOLDER PATH SPECS. It goes
 * on with what it finds, starts these tasks (a JSON list), and says so.
 */
const [root = '', tasksFolder = '', path = '', specs = '[]'] = process.argv.slice(2);
const host = taskHost(root, { PATH: path, AGENT: String(process.pid) }, process.getuid?.() ?? 0);
const registry = await TaskRegistry.open(host, tasksFolder, pino({ level: 'silent' }));
for (const spec of JSON.parse(specs) as TaskSpec[]) registry.start(spec);
process.stdout.write('started\n');
// A task that waits does not keep a process by itself.
setInterval(() => undefined, 60_000);
