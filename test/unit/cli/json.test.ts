import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonRenderer } from '../../../cli/output/json.ts';
import type { TaskEvent } from '../../../common/task-event.ts';
import { finished, output, play, Recorder, stepFinished, stepStarted, targets } from './recorded.ts';

function printed(events: readonly (readonly [number, TaskEvent])[]): Recorder {
  const recorder = new Recorder();
  play(jsonRenderer(recorder, false), { targets: targets('prod-1:sexy', 'prod-2:news'), events });
  return recorder;
}

/** The lines between the first and the last, which are the run's. */
function fieldsOf(...events: (readonly [number, TaskEvent])[]): object[] {
  return printed(events).lines.slice(1, -1);
}

test('prints each event as one line, type first, in the words of the contract', () => {
  const text = printed([
    [1, { type: 'task.queued', waitingFor: 'run R0' }],
    [1, { type: 'task.started' }],
    [1, stepStarted('action', 'docker compose up')],
    [1, output('hi\n')],
    [1, stepFinished('action', 'docker compose up')],
    [2, { type: 'notice', text: 'hint' }],
    [1, { ...finished('succeeded'), exitCode: 0 }],
    [2, finished('timed-out', 'after 3s')],
  ]).text('stdout');
  const at = (ms: string): string => `"time":"2026-01-02T03:04:0${ms}Z","run":"R1"`;
  const sexy = '"task":"T1","host":"prod-1","stack":"sexy"';
  const news = '"task":"T2","host":"prod-2","stack":"news"';
  assert.equal(
    text,
    [
      `{"type":"run.started",${at('5.678')},"targets":[{${sexy}},{${news}}]}`,
      `{"type":"task.queued",${at('5.679')},${sexy},"waitingFor":"run R0"}`,
      `{"type":"task.started",${at('5.680')},${sexy}}`,
      `{"type":"step.started",${at('5.681')},${sexy},"step":"action","name":"docker compose up","argv":["docker","compose","up","-d"]}`,
      `{"type":"output",${at('5.682')},${sexy},"step":"action","stream":"stdout","data":"hi\\n"}`,
      `{"type":"step.finished",${at('5.683')},${sexy},"step":"action","name":"docker compose up","outcome":"succeeded","exitCode":0,"durationMs":12}`,
      `{"type":"notice",${at('5.684')},${news},"text":"hint"}`,
      `{"type":"task.finished",${at('5.685')},${sexy},"state":"succeeded","exitCode":0,"reason":"","durationMs":1230}`,
      `{"type":"task.finished",${at('5.686')},${news},"state":"timed-out","exitCode":null,"reason":"after 3s","durationMs":1230}`,
      `{"type":"run.finished",${at('6.678')},"state":"succeeded","succeeded":1,"failed":0,"skipped":0,"cancelled":0,"timedOut":1,"unreachable":0,"lost":0,"denied":0,"exitCode":0}`,
      '',
    ].join('\n'),
  );
});

test('prints a step of a plan with the names of its variables', () => {
  const step = {
    step: 'pre',
    name: 'hook_pre_up',
    argv: ['hook_pre_up', 'up'],
    cwd: '/s',
    envNames: ['A'],
  } as const;
  const [sure, unsure] = fieldsOf(
    [1, { type: 'plan.step', ...step, uncertain: false }],
    [1, { type: 'plan.step', ...step, uncertain: true }],
  );
  const shared = { run: 'R1', ...targets('prod-1:sexy')[0], type: 'plan.step', ...step };
  assert.deepEqual(sure, { ...shared, time: '2026-01-02T03:04:05.679Z' });
  assert.deepEqual(unsure, { ...shared, time: '2026-01-02T03:04:05.680Z', uncertain: true });
});

function data(...events: (readonly [number, TaskEvent])[]): unknown[] {
  return fieldsOf(...events)
    .filter((line) => 'data' in line)
    .map((line) => ('encoding' in line ? { ...pick(line) } : pick(line)['data']));
}

function pick(line: object): Record<string, unknown> {
  const { data: text, encoding } = { data: undefined, encoding: undefined, ...line };
  return { data: text, ...(encoding === undefined ? {} : { encoding }) };
}

test('joins a character that is cut over chunks, each stream and task by itself', () => {
  const euro = Buffer.from('€');
  const cut = (from: number, to?: number): Uint8Array => euro.subarray(from, to);
  assert.deepEqual(
    data(
      [1, output(Buffer.concat([Buffer.from('a'), cut(0, 1)]))],
      [2, output(cut(0, 2))],
      [1, output(cut(0, 1), { stream: 'stderr' })],
      [1, output(cut(1, 2))],
      [1, output(Buffer.concat([cut(2), Buffer.from('b')]))],
      [2, output(cut(2))],
      [1, output(cut(1), { stream: 'stderr' })],
    ),
    ['a', '€b', '€', '€'],
  );
});

test('gives what never becomes a character as base64 when the step ends', () => {
  assert.deepEqual(data([1, output(Buffer.from([0x61, 0xe2, 0x82]))], [1, stepFinished('action', 'x')]), [
    'a',
    { data: '4oI=', encoding: 'base64' },
  ]);
});

test('gives bytes that are no UTF-8 as base64, at once', () => {
  assert.deepEqual(data([1, output(Buffer.from([0xff, 0x00, 0xfe]))]), [
    { data: '/wD+', encoding: 'base64' },
  ]);
});

test('keeps lines for people off stdout', () => {
  const recorder = new Recorder();
  jsonRenderer(recorder, false).say('lost \u001b the link');
  assert.equal(recorder.text('stdout'), '');
  assert.equal(recorder.text('stderr'), 'lost \\x1b the link\n');
});
