import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { ComposeFinder } from '../../../agent/stacks/compose-tool.ts';
import { HooksParser } from '../../../agent/stacks/hooks-file.ts';
import { ComposeFiles } from '../../../agent/stacks/compose-file.ts';
import type { TaskHost } from '../../../agent/tasks/prepare-task.ts';
import { runTask, type TaskRun } from '../../../agent/tasks/run-task.ts';
import { findKeeperTools } from '../../../agent/process/find-program.ts';
import { discardKept } from '../../../agent/process/keeper-folder.ts';
import { outlivesAgent } from '../../../agent/tasks/outlives-agent.ts';
import { TaskHandover } from '../../../agent/tasks/task-handover.ts';
import { StopSignal } from '../../../agent/tasks/stop-signal.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import type { OutputStream, StepKind, TaskEvent, TaskFinished } from '../../../common/task-event.ts';

/**
 * Stands in for docker: `docker compose COMMAND ARGS…` runs the stack's `action.sh`, if it has one, with the same
 * words.
 */
const stubDocker = `#!/bin/bash
[[ $1 == compose ]] || exit 64
shift
if [[ $1 == version ]]; then echo 2.40.0; exit; fi
[[ -e action.sh ]] || exit 0
exec bash action.sh "$@"
`;

/** What a stack's folder holds beside its compose file; `hooks` is executable unless `mode` says otherwise. */
export interface StackFiles {
  readonly hooks?: string;
  readonly mode?: number;
  /** Runs in place of compose. */
  readonly action?: string;
  readonly env?: string;
  readonly files?: Readonly<Record<string, string>>;
}

type Limits = Pick<TaskRun, 'failHookMs'>;

/** A host named prod-1 whose tasks run with this environment. */
export function taskHost(
  root: string,
  agentEnv: Readonly<Record<string, string>>,
  rootOwner: number,
): TaskHost {
  const hooksParser = new HooksParser(agentEnv, rootOwner);
  const compose = new ComposeFinder(agentEnv);
  const composeFiles = new ComposeFiles();
  return { root, name: 'prod-1', agentEnv, hooksParser, composeFiles, compose };
}

/** A stacks root in a temporary folder and a host that runs tasks on it with real bash. */
export class Bench {
  /** Of everything; goes with the test. */
  readonly folder: string;
  readonly root: string;
  readonly host: TaskHost;

  private constructor(folder: string, rootOwner: number) {
    this.folder = folder;
    this.root = join(folder, 'stacks');
    const agentEnv = { PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: folder };
    this.host = taskHost(this.root, agentEnv, rootOwner);
  }

  static async create(t: TestContext): Promise<Bench> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-agent-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, 'stacks'));
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'bin/docker'), stubDocker, { mode: 0o755 });
    return new Bench(folder, (await stat(folder)).uid);
  }

  /** Makes a stack; returns its folder. */
  async stack(
    name: string,
    { hooks, mode = 0o750, action, env, files = {} }: StackFiles = {},
  ): Promise<string> {
    const folder = join(this.root, name);
    const all: Record<string, string> = { 'compose.yaml': 'services: {}\n', ...files };
    if (hooks !== undefined) all['hooks.sh'] = hooks;
    if (action !== undefined) all['action.sh'] = action;
    if (env !== undefined) all['.env'] = env;
    for (const [path, text] of Object.entries(all)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    if (hooks !== undefined) await chmod(join(folder, 'hooks.sh'), mode);
    return folder;
  }

  /** Starts a task: `up` on `sexy` unless the spec says otherwise. */
  start(spec: Partial<TaskSpec> = {}, limits: Limits = {}): RecordedTask {
    return new RecordedTask(this, spec, limits);
  }

  /** Runs a task to its end. */
  async run(spec: Partial<TaskSpec> = {}, limits: Limits = {}): Promise<RecordedTask> {
    const task = this.start(spec, limits);
    await task.done;
    return task;
  }
}

/**
 * What a task is to do unless a test says otherwise. Its id is of this process alone: whoever ends a task ends all that bears
 * its id on the machine, where other files' tests run as well.
 */
export const defaultSpec: TaskSpec = {
  task: `01J0000000000000T${String(process.pid).padStart(9, '0')}`,
  run: '01J0000000000000000000000R',
  stack: 'sexy',
  command: 'up',
  args: ['-d'],
  env: {},
  timeoutMs: 0,
  dryRun: false,
  hasStdin: false,
  user: 'ada',
};

/** A task with all that it told. */
export class RecordedTask {
  readonly events: TaskEvent[] = [];
  readonly stop = new StopSignal();
  readonly done: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor(bench: Bench, spec: Partial<TaskSpec>, limits: Limits) {
    this.done = this.#run(bench, { ...defaultSpec, ...spec }, limits);
  }

  async #run({ folder, host }: Bench, spec: TaskSpec, limits: Limits): Promise<void> {
    const workFolder = await mkdtemp(join(folder, 'work-'));
    const sink = (event: TaskEvent): void => {
      this.events.push(event);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    };
    const tools = findKeeperTools(host.agentEnv['PATH'] ?? '');
    const outliving =
      tools === undefined || !outlivesAgent(spec)
        ? undefined
        : {
            handover: TaskHandover.create(workFolder, spec, false),
            tools,
            count: () => this.events.length,
            told: undefined,
          };
    const { stop } = this;
    const now = (): number => performance.now();
    try {
      await runTask({ stdin: undefined, spec, host, workFolder, sink, stop, now, outliving, ...limits });
    } finally {
      const left = outliving?.handover.progress?.folder;
      if (left !== undefined) await discardKept(left);
      outliving?.handover.forget();
    }
  }

  /** Waits until a step has shown this. */
  async shows(text: string): Promise<void> {
    while (!this.output().includes(text)) {
      const end = this.done.then(() => {
        if (!this.output().includes(text)) throw new Error(`ended without showing ${text}: ${this.output()}`);
      });
      await Promise.race([this.#changed.promise, end]);
    }
  }

  /** What steps of this kind, on this stream, have shown; everything without them. */
  output(step?: StepKind, stream?: OutputStream): string {
    const chunks = this.events.flatMap((event) => {
      if (event.type !== 'output') return [];
      const isAsked = (step ?? event.step) === event.step && (stream ?? event.stream) === event.stream;
      return isAsked ? [event.data] : [];
    });
    return Buffer.concat(chunks).toString();
  }

  /** Names of the steps that began, in order. */
  get steps(): string[] {
    return this.events.flatMap((event) => (event.type === 'step.started' ? [event.name] : []));
  }

  get notices(): string[] {
    return this.events.flatMap((event) => (event.type === 'notice' ? [event.text] : []));
  }

  get end(): TaskFinished {
    const last = this.events.at(-1);
    if (last?.type !== 'task.finished') throw new Error('the task has not ended');
    return last;
  }
}
