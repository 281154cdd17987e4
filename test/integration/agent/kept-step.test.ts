import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { TaskEvent } from '../../../common/task-event.ts';
import { Masker } from '../../../common/redaction/masker.ts';
import { noStatus } from '../../../agent/process/keeper.ts';
import { findKeeperTools } from '../../../agent/process/find-program.ts';
import { processStart } from '../../../agent/process/process-identity.ts';
import { KeptStep } from '../../../agent/tasks/kept-step.ts';
import type { OutputMarks } from '../../../agent/tasks/output-marks.ts';
import { OutputRecorder } from '../../../agent/tasks/task-recorder.ts';
import { until } from './processes.ts';

/*
 * Where an agent goes on with a kept step. The files are as a keeper leaves them; this process stands for the keeper,
 * so that they grow when the test says so.
 */

const pieces = ['one\n', 'two\n', 'three\n', 'four\n'];

class KeptFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(t: TestContext): Promise<KeptFolder> {
    const folder = new KeptFolder(await mkdtemp(join(tmpdir(), 'kompose-kept-step-')));
    t.after(() => rm(folder.path, { recursive: true }));
    await folder.write('keeper', `${process.pid} ${processStart(process.pid) ?? ''}\n`);
    await folder.write('status', noStatus);
    return folder;
  }

  write(name: string, content: string): Promise<void> {
    return writeFile(join(this.path, name), content);
  }

  async end(): Promise<void> {
    for (const name of ['stdout.end', 'stderr.end', 'drained']) await this.write(name, '');
    await this.write('status', '0\n');
  }
}

interface TakenOver {
  readonly step: KeptStep;
  readonly isCut: boolean;
  /** How many it has made. */
  readonly marks: number;
  /** Resolves when all that the step wrote is told. */
  readonly told: Promise<unknown>;
}

interface Limits {
  /** It makes its mark of the event after so many, and nothing more. */
  readonly cutAt?: number;
  /** The log takes so many. */
  readonly fullAt?: number;
}

/** Takes the step over with this log. */
function takeOver(t: TestContext, folder: KeptFolder, log: string[], limits: Limits = {}): TakenOver {
  const { cutAt = Infinity, fullAt = Infinity } = limits;
  const tools = findKeeperTools(process.env['PATH'] ?? '');
  assert.ok(tools !== undefined);
  const step = new KeptStep({ tools, folder: folder.path, told: undefined, count: () => log.length }, true);
  t.after(() => step.close());
  let isCut = false;
  let made = 0;
  const onMarks = (marks: OutputMarks): void => {
    if (!isCut) step.onMarks(marks);
    made++;
    isCut ||= log.length >= cutAt;
  };
  const sink = (event: TaskEvent): void => {
    if (!isCut && log.length < fullAt && event.type === 'output')
      log.push(Buffer.from(event.data).toString());
  };
  const recorder = new OutputRecorder('pre', new Masker(), sink, onMarks, step.recordedBefore);
  const { ended } = step.start({
    argv: ['true'],
    cwd: folder.path,
    env: {},
    mark: '',
    onOutput: (stream, chunk) => recorder.write(stream, chunk),
  });
  const told = ended.then(() => recorder.finish());
  return {
    step,
    get isCut() {
      return isCut;
    },
    get marks() {
      return made;
    },
    told,
  };
}

for (const cutAt of pieces.keys())
  test(`goes on where an agent was killed that had made its mark of event ${cutAt + 1}, but not told it`, async (t) => {
    const folder = await KeptFolder.create(t);
    const log: string[] = [];
    const first = takeOver(t, folder, log, { cutAt });
    for (const [at, text] of pieces.entries()) {
      await folder.write(`stdout.${at}`, text);
      if (at <= cutAt) await until('it comes to this piece', () => log.length > at || first.isCut);
    }
    const next = takeOver(t, folder, log);
    await folder.end();
    await next.told;
    assert.equal(log.join(''), pieces.join(''));
  });

test('goes on behind what there was no room for in the log, and says so', async (t) => {
  const folder = await KeptFolder.create(t);
  const log: string[] = [];
  // The log is full after the first piece: of the others nothing comes in, and the agent is killed at the last.
  const first = takeOver(t, folder, log, { fullAt: 1 });
  for (const [at, text] of pieces.entries()) {
    await folder.write(`stdout.${at}`, text);
    await until('it comes to this piece', () => first.marks > at);
  }
  const next = takeOver(t, folder, log);
  await folder.end();
  await next.told;
  assert.equal(log.join(''), ['one\n', 'four\n'].join(''));
  assert.equal(next.step.isTorn, true);
});

test('removes what it has told, up to the piece that the event before names', async (t) => {
  const folder = await KeptFolder.create(t);
  const log: string[] = [];
  const { told } = takeOver(t, folder, log);
  for (const [at, text] of pieces.entries()) {
    await folder.write(`stdout.${at}`, text);
    await until('the piece is told', () => log.length > at);
  }
  const left = (await readdir(folder.path)).filter((name) => name.startsWith('stdout.'));
  assert.deepEqual(left.toSorted(), ['stdout.2', 'stdout.3']);
  await folder.end();
  await told;
});
