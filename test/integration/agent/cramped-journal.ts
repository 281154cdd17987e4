import { spawnSync } from 'node:child_process';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';

/*
 * A journal in a process whose files may only be so long: cramped-journal.ts PATH. It begins tasks, T0 and on, until one is
 * refused, then another with the limit taken away, and prints which began, a JSON list.
 */
const [path = ''] = process.argv.slice(2);
const journal = TaskJournal.open(path, () => 1000);
const begun: boolean[] = [];

function begin(): boolean {
  try {
    journal.begin(`T${begun.length}`, 20_000);
    begun.push(true);
  } catch {
    begun.push(false);
  }
  return begun.at(-1) === true;
}

while (begin());
spawnSync('prlimit', [`--pid=${process.pid}`, '--fsize=unlimited:'], { stdio: 'inherit' });
begin();
journal.close();
process.stdout.write(JSON.stringify(begun));
