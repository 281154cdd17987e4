import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { jsonRenderer } from '../../../cli/output/json.ts';
import { taskStates, type TaskEvent } from '../../../common/task-event.ts';
import { finished, output, play, Recorder, stepFinished, stepStarted, targets } from './recorded.ts';

interface EventSchema {
  readonly oneOf: readonly { readonly $ref: string }[];
  readonly $defs: Readonly<Record<string, { readonly properties?: Readonly<Record<string, object>> }>>;
}

const path = new URL('../../../docs/events.schema.json', import.meta.url);
const schema = JSON.parse(readFileSync(path, 'utf8')) as EventSchema;
const validate = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true }).compile(schema);

const planned = {
  type: 'plan.step',
  step: 'pre',
  name: 'hook_pre_up',
  argv: ['hook_pre_up', 'up'],
  cwd: '/srv/stacks/sexy',
  envNames: ['A'],
} as const;
const dump = { path: '/srv/a.sql', sizeBytes: 3, sha256: 'a'.repeat(64) };

/** Each kind of event, with each of its fields. */
const events: readonly TaskEvent[] = [
  { type: 'task.queued', waitingFor: 'run R0 by ada' },
  { type: 'task.started' },
  stepStarted('action', 'docker compose up'),
  output('text'),
  output(new Uint8Array([0xff, 0]), { stream: 'stderr' }),
  stepFinished('action', 'docker compose up'),
  { ...planned, uncertain: false },
  { ...planned, uncertain: true },
  { type: 'notice', text: 'run chmod 750' },
  { type: 'notice', text: '5 bytes', missing: { stdout: 5, stderr: 0 } },
  ...taskStates.map((state) => finished(state, 'because')),
  { ...finished('succeeded'), exitCode: 0, dump },
];

function lines(): Record<string, unknown>[] {
  const recorder = new Recorder();
  const numbered = events.map((event): [number, TaskEvent] => [1, event]);
  play(jsonRenderer(recorder, false), { targets: targets('prod-1:sexy', 'prod-2:news'), events: numbered });
  return recorder.lines.map((line) => ({ ...line }));
}

test('holds for every event of a run', () => {
  for (const line of lines()) {
    assert.ok(validate(line), `${JSON.stringify(line)}: ${JSON.stringify(validate.errors)}`);
  }
});

test('describes every field of every event', () => {
  for (const line of lines()) {
    const described = Object.keys(schema.$defs[String(line['type'])]?.properties ?? {});
    assert.deepEqual(
      Object.keys(line).filter((field) => !described.includes(field)),
      [],
      JSON.stringify(line),
    );
  }
});

test('describes no event and no field that is never printed', () => {
  const printed = Map.groupBy(lines(), ({ type }) => String(type));
  assert.deepEqual(
    schema.oneOf.map(({ $ref }) => $ref.replace('#/$defs/', '')).toSorted(),
    [...printed.keys()].toSorted(),
  );
  for (const [type, all] of printed) {
    const fields = new Set(all.flatMap((line) => Object.keys(line)));
    assert.deepEqual(new Set(Object.keys(schema.$defs[type]?.properties ?? {})), fields, type);
  }
});

const wrong: readonly [what: string, change: (line: Record<string, unknown>) => object][] = [
  ['an unknown type', (line) => ({ ...line, type: 'task.exploded' })],
  ['a time without milliseconds', (line) => ({ ...line, time: '2026-01-02T03:04:05Z' })],
  ['no run', (line) => ({ ...line, run: undefined })],
];
for (const [what, change] of wrong) {
  test(`refuses ${what}`, () => {
    for (const line of lines()) assert.ok(!validate(change(line)), JSON.stringify(line));
  });
}

test('lets fields be added', () => {
  for (const line of lines()) assert.ok(validate({ ...line, later: 1 }));
});
