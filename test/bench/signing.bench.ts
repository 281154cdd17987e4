import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { examineTask } from '../../agent/session/examine-task.ts';
import { TaskJournal } from '../../agent/tasks/task-journal.ts';
import { signRun } from '../../cli/sign-run.ts';
import { changeEntry, joinEntry, rootEntry } from '../../common/roster/entry.ts';
import { Roster } from '../../common/roster/roster.ts';
import { createSigningKey } from '../../common/signing/signing-key.ts';
import { checkSigned } from '../../controller/runs/signed-run.ts';
import { allAtOnce } from '../../common/rollout.ts';
import { StartTask } from '../../proto/gen/kompose/v1/agent_link.ts';
import { RunRequest, RunSignature } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Bench } from './measure.ts';

const rounds = 9;
const users = 500;
const key = createSigningKey();
const words = { pattern: '*', command: 'up', args: ['-d', '--remove-orphans'], env: { TAG: 'v2.14.1' } };
const request = { ...RunRequest.decode(Buffer.alloc(0)), ...words };
const asked = {
  ...words,
  filter: { hosts: [], labels: [] },
  network: undefined,
  timeoutMs: 0,
  dryRun: false,
  raw: false,
  detach: false,
  hasStdin: false,
  rollout: allAtOnce,
  offline: { kind: 'fail' } as const,
};

function targetsOf(count: number) {
  return Array.from({ length: count }, (_, at) => {
    const task = String(at).padStart(26, '0');
    return { task, host: `prod-${at}`, stack: 'sexy' };
  });
}

/** The root, and as many users as joined by one invite. */
function roster(): Roster {
  const token = createSigningKey();
  const root = Roster.empty.extend([rootEntry('ada', key)]);
  const whom = { key: token.publicKey, user: '', role: 'operator', uses: users, until: 1 };
  const invited = root.extend([changeEntry({ type: 'invite', ...whom }, root, key)]);
  return invited.extend(
    Array.from({ length: users }, (_, at) => joinEntry(`user-${at}`, createSigningKey().publicKey, token)),
  );
}

/** The least of several runs, in microseconds: what it takes when nothing else wants the processor. */
function leastMicros(act: () => unknown): number {
  const times = Array.from({ length: rounds }, () => {
    const startMs = performance.now();
    act();
    return (performance.now() - startMs) * 1000;
  });
  return Math.min(...times);
}

/** What signatures add to a run, for each of its tasks: at the client, the controller and the agent, and on the wire. */
export const bench: Bench = {
  about: `what signatures add to each task, in a roster of ${users} users`,
  async run(report) {
    const known = roster();
    const rows = [1, 100, 1000].map((count) => costOf(count, known));
    for (const { count, ...cost } of rows) {
      const { signUs, checkUs, examineUs, runBytes, taskBytes } = cost;
      report(
        `${String(count).padStart(4)} targets: client ${micros(signUs)}, controller ${micros(checkUs)}, agent ${micros(examineUs)} a task; ${runBytes} bytes from the client in all, ${taskBytes} to each agent`,
      );
    }
    const whole = leastMicros(() => Roster.empty.extend(known.entries));
    report(`the roster, all ${known.count} entries from a file: ${(whole / 1000).toFixed(0)} ms, at a start`);
    const journal = await journalMicros();
    report(`an agent's journal on this disk: ${micros(journal)} a task`);
    return { rows, rosterUs: whole, journalUs: journal };
  },
};

function costOf(count: number, known: Roster) {
  const targets = targetsOf(count);
  const run = '01J0000000000000000000000R';
  const proposal = { runId: run, targets: targets.map(({ task: taskId, ...rest }) => ({ taskId, ...rest })) };
  const sign = () => signRun({ request }, proposal, key, Date.now());
  const signed = sign();
  const { order, env, network, signatures } = signed;
  const answer = { order, values: { env, network }, signatures };
  const messages = targets.map(({ task, stack }, at) => {
    const signature = signatures[at] ?? Buffer.alloc(0);
    const rest = {
      terminalSize: undefined,
      output: { keptBytes: 1, windowBytes: 0 },
      sealed: new Uint8Array(),
    };
    return { taskId: task, stack, order, signature, env, network, ...rest };
  });
  const examine = (): void => {
    for (const [at, message] of messages.entries())
      examineTask(message, { name: `prod-${at}`, roster: known, nowMs: Date.now() });
  };
  return {
    count,
    signUs: leastMicros(sign) / count,
    checkUs: leastMicros(() => checkSigned(asked, { run, targets }, answer, 'ada', known)) / count,
    examineUs: leastMicros(examine) / count,
    runBytes: RunSignature.encode(signed).finish().length,
    taskBytes: messages[0] === undefined ? 0 : StartTask.encode(messages[0]).finish().length,
  };
}

async function journalMicros(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-bench-'));
  const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
  let next = 0;
  const least = leastMicros(() => journal.begin(`T${next++}`, Date.now() + 1e6));
  journal.close();
  await rm(folder, { recursive: true });
  return least;
}

function micros(value: number): string {
  return `${value.toFixed(0)} µs`;
}
