import { agentGauges } from '../../../agent/gauges.ts';
import { ProcessGauge } from '../../../common/process-gauge.ts';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { pino } from 'pino';
import { LocalRuns } from '../../../agent/local/local-runs.ts';
import { Session } from '../../../agent/session/session.ts';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import { HeadWitness } from '../../../common/audit/head-witness.ts';
import { RosterFile } from '../../../common/roster/roster-file.ts';
import { createSealingSeed, sealingKey } from '../../../common/sealing.ts';
import type {
  AgentMessage,
  ControllerMessage,
  TaskControl,
  TaskReport,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { taskHost } from '../agent/bench.ts';

/** What a test tells this process. */
export type ToAgent =
  /** Links anew; the link before is lost. */
  | { readonly kind: 'link' }
  | { readonly kind: 'lose' }
  | { readonly kind: 'down'; readonly message: ControllerMessage }
  | { readonly kind: 'control'; readonly report: number; readonly message: TaskControl }
  | { readonly kind: 'ask' };

/** What this process tells the test. */
export type FromAgent =
  | { readonly kind: 'ready' }
  | { readonly kind: 'up'; readonly message: AgentMessage }
  | { readonly kind: 'report'; readonly report: number; readonly message: TaskReport }
  | { readonly kind: 'open'; readonly tasks: readonly string[] };

/*
 * An agent's session, journal and tasks in a process of their own, whose link is the channel to the test that has started
 * it: agent-process.ts ROOT FOLDER PATH ROSTER-ROOT
 */
const [root = '', folder = '', path = '', rosterRoot = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
const bench = taskHost(root, { PATH: path }, process.getuid?.() ?? 0);
const wasBegun = (task: string): boolean => journal.has(task);
const tasks = await TaskRegistry.open(bench, join(folder, 'tasks'), log, wasBegun);
const localRuns = new LocalRuns(join(folder, 'local-runs'));
const processGauge = new ProcessGauge();
const host = {
  version: '0',
  name: 'prod-1',
  instanceId: String(process.pid),
  startedMs: Date.now(),
  tasks,
  roster: RosterFile.open(join(folder, 'roster'), rosterRoot),
  sealingKey: await sealingKey(createSealingSeed()),
  journal,
  localRuns,
  auditWitness: new HeadWitness(join(folder, 'head')),
  takeInventory: async () => [],
  watchInventory: async function* () {},
  askStatus: async () => [],
  maskWords: async () => [],
  readGauges: (reports: number) => agentGauges({ process: processGauge, tasks, localRuns }, reports),
};
let session: Session | undefined;
let links = 0;
let opened = 0;
const reports = new Map<number, EventEmitter>();

function tell(message: FromAgent): void {
  process.send?.(message);
}

function openReport(): EventEmitter {
  const report = ++opened;
  const stream = Object.assign(new EventEmitter(), {
    write: (message: TaskReport) => {
      if (reports.has(report)) tell({ kind: 'report', report, message });
      return true;
    },
    end: () => undefined,
    cancel: () => reports.delete(report),
  });
  reports.set(report, stream);
  return stream;
}

function link(): void {
  const stream = Object.assign(new EventEmitter(), {
    write: (message: AgentMessage) => tell({ kind: 'up', message }),
  });
  session = new Session({
    host,
    linkNumber: ++links,
    trusts: [],
    client: { report: openReport, getChannel: () => ({ getTarget: () => 'the test' }) } as never,
    stream: stream as never,
    end: () => undefined,
    onWelcome: () => undefined,
    onFarewell: () => undefined,
    onRenewalDue: () => undefined,
    log,
  });
  session.open();
}

function lose(): void {
  session?.close();
  session = undefined;
  reports.clear();
}

process.on('message', (message: ToAgent) => {
  switch (message.kind) {
    case 'link':
      lose();
      link();
      return;
    case 'lose':
      lose();
      return;
    case 'down':
      session?.receive(message.message);
      return;
    case 'control':
      reports.get(message.report)?.emit('data', message.message);
      return;
    case 'ask':
      // Not at once: who asks again and again is not to keep the processor from the tasks.
      setTimeout(() => tell({ kind: 'open', tasks: tasks.open.map(({ task }) => task) }), 20);
  }
});
tell({ kind: 'ready' });
