import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { StubFleet } from './stub-fleet.ts';

const path = new URL('../../../docs/events.schema.json', import.meta.url);
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(path, 'utf8')) as object,
);

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2');
});

after(() => fleet.stop());

const hooks = 'hook_pre_up() { echo before; echo aside >&2; }\nhook_fail_up() { echo sorry; }\n';
const runs: readonly [what: string, args: string[], types: string[]][] = [
  [
    'one that fails on one host and succeeds on another',
    ['shop', 'up', '-d'],
    ['run.started', 'step.started', 'output', 'step.finished', 'task.finished', 'run.finished'],
  ],
  ['a dry one', ['-n', 'shop', 'up', '-d'], ['run.started', 'plan.step', 'task.finished', 'run.finished']],
];
for (const [what, args, types] of runs) {
  test(`every line of a real run fits the schema: ${what}`, async () => {
    await fleet.writeStack('prod-1', 'shop', { 'hooks.sh': hooks, 'action.sh': 'printf "\\xff\\0"; exit 3' });
    await fleet.writeStack('prod-2', 'shop', { 'hooks.sh': hooks });
    await fleet.untilKnown('prod-1:shop', 'prod-2:shop');
    const lines = await fleet.objects(...args);
    for (const line of lines) {
      assert.ok(validate(line), `${JSON.stringify(line)}: ${JSON.stringify(validate.errors)}`);
    }
    const seen = new Set(lines.map(({ type }) => type));
    assert.deepEqual(
      types.filter((type) => !seen.has(type)),
      [],
    );
  });
}
