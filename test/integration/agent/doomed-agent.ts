import { pino } from 'pino';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import type { TaskSpool } from '../../../agent/tasks/task-spool.ts';
import { taskHost } from './bench.ts';

/*
 * An agent's task registry in a process of its own, to be killed: doomed-agent.ts ROOT TASKS-FOLDER PATH SPECS [EVENT]. It
 * goes on with what it finds, starts these tasks (a JSON list), and says so. With EVENT, a number, the tasks are of somebody
 * on this host, and it kills itself as soon as one has told its event of that number.
 */
const [root = '', tasksFolder = '', path = '', specs = '[]', last] = process.argv.slice(2);
const host = taskHost(root, { PATH: path, AGENT: String(process.pid) }, process.getuid?.() ?? 0);
const registry = await TaskRegistry.open(host, tasksFolder, pino({ level: 'silent' }));
for (const spec of JSON.parse(specs) as TaskSpec[]) {
  if (last === undefined) registry.start(spec);
  else killAt(registry.acceptLocal(spec), spec, Number(last));
}
process.stdout.write('started\n');
// A task that waits does not keep a process by itself.
setInterval(() => undefined, 60_000);

function killAt({ log }: TaskSpool, spec: TaskSpec, event: number): void {
  const onEvent = (): void => {
    if (log.count >= event) process.kill(process.pid, 'SIGKILL');
  };
  registry.run(spec, { onEvent });
}
