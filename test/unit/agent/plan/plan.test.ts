import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { hookName, plan, type Plan, type PlanInput, type Step } from '../../../../agent/plan/plan.ts';
import type { ParsedHooks } from '../../../../agent/stacks/hooks-file.ts';

function parsed(functions: readonly string[], mayDefineMore = false): ParsedHooks {
  const path = '/srv/stacks/sexy/hooks.sh';
  const sha256 = 'ab'.repeat(32);
  return {
    kind: 'parsed',
    path,
    sha256,
    functions,
    certain: functions,
    mayDefineMore,
    replacesShell: false,
    isExecutable: true,
  };
}

function whole(input: Partial<PlanInput>): Plan {
  return plan({
    command: 'up',
    args: ['-d'],
    compose: ['docker', 'compose'],
    hooks: { kind: 'none' },
    ...input,
  });
}

function planned(input: Partial<PlanInput>): readonly Step[] {
  return whole(input).steps;
}

function shown(steps: readonly Step[]): string[] {
  return steps.map(
    (step) =>
      `${step.step} ${step.name}${step.kind === 'hook' && step.uncertain ? '?' : ''}: ${step.argv.join(' ')}`,
  );
}

const action = 'action docker compose up: docker compose up -d';
const pre = 'pre hook_pre_up: hook_pre_up up -d';
const post = 'post hook_post_up: hook_post_up up -d';

const tables: readonly { title: string; hooks: PlanInput['hooks']; steps: readonly string[] }[] = [
  { title: 'no hooks.sh', hooks: { kind: 'none' }, steps: [action] },
  { title: 'a hooks.sh without functions', hooks: parsed([]), steps: [action] },
  { title: 'a pre hook', hooks: parsed(['hook_pre_up']), steps: [pre, action] },
  { title: 'a post hook', hooks: parsed(['hook_post_up']), steps: [action, post] },
  { title: 'both', hooks: parsed(['hook_post_up', 'hook_pre_up']), steps: [pre, action, post] },
  {
    title: 'hooks of other commands',
    hooks: parsed(['hook_pre_down', 'hook_post_upgrade', 'hook_pre_u', 'my_hook_pre_up']),
    steps: [action],
  },
  {
    title: 'a hooks.sh that sources others',
    hooks: parsed([], true),
    steps: ['pre hook_pre_up?: hook_pre_up up -d', action, 'post hook_post_up?: hook_post_up up -d'],
  },
  {
    title: 'one hook known and others sourced',
    hooks: parsed(['hook_post_up'], true),
    steps: ['pre hook_pre_up?: hook_pre_up up -d', action, post],
  },
];

describe('plan', () => {
  for (const { title, hooks, steps } of tables) {
    test(`plans ${title}`, () => assert.deepEqual(shown(planned({ hooks })), steps));
  }

  const fails: readonly { title: string; hooks: PlanInput['hooks']; fail: readonly string[] }[] = [
    { title: 'no hooks.sh', hooks: { kind: 'none' }, fail: [] },
    { title: 'none defined', hooks: parsed(['hook_pre_up', 'hook_fail_down']), fail: [] },
    {
      title: 'one defined',
      hooks: parsed(['hook_fail_up']),
      fail: ['fail hook_fail_up: hook_fail_up up -d'],
    },
    {
      title: 'one that may be sourced',
      hooks: parsed([], true),
      fail: ['fail hook_fail_up?: hook_fail_up up -d'],
    },
  ];
  for (const { title, hooks, fail } of fails) {
    test(`keeps the fail hook apart from the steps: ${title}`, () => {
      const { failHook, steps } = whole({ hooks });
      assert.deepEqual(shown(failHook === undefined ? [] : [failHook]), fail);
      assert.ok(steps.every(({ step }) => step !== 'fail'));
    });
  }

  test('calls the compose that this host has', () => {
    const [step] = planned({ compose: ['docker-compose'], args: ['--wait'] });
    assert.deepEqual(step?.argv, ['docker-compose', 'up', '--wait']);
    assert.equal(step?.name, 'docker compose up');
  });

  test('gives a hook the file that it was parsed from', () => {
    const hooks = parsed(['hook_pre_up']);
    const [step] = planned({ hooks });
    assert.equal(step?.kind === 'hook' ? step.hooks : undefined, hooks);
  });

  test('finds the hooks of commands with - and : in their names', () => {
    const functions = ['hook_pre_db_export', 'hook_post_self_check'];
    const names = (command: string): string[] =>
      planned({ command, hooks: parsed(functions) }).map(({ name }) => name);
    assert.deepEqual(names('db:export'), ['hook_pre_db_export', 'docker compose db:export']);
    assert.deepEqual(names('self-check'), ['docker compose self-check', 'hook_post_self_check']);
  });

  test('passes the arguments on byte for byte, at the end of each step', () => {
    const word = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', ' ', '--', '-d', '$(id)', '`id`', '*', "'", '"', '\\', '\n', '$HOME', ';', '&&'),
    );
    fc.assert(
      fc.property(fc.array(word), (args) => {
        const hooks = parsed(['hook_pre_up', 'hook_post_up', 'hook_fail_up']);
        const { steps, failHook } = whole({ args, hooks });
        const all = [...steps, ...(failHook === undefined ? [] : [failHook])];
        assert.equal(all.length, 4);
        for (const { argv } of all) assert.deepEqual(argv.slice(argv.length - args.length), args);
        for (const { argv } of all) assert.equal(argv[argv.length - args.length - 1], 'up');
      }),
    );
  });
});

describe('hookName', () => {
  const names: readonly [step: 'pre' | 'post' | 'fail', command: string, name: string][] = [
    ['pre', 'up', 'hook_pre_up'],
    ['post', 'db:export', 'hook_post_db_export'],
    ['fail', 'db:cleanup', 'hook_fail_db_cleanup'],
    ['pre', 'a-b:c-d', 'hook_pre_a_b_c_d'],
    ['pre', 'a_b', 'hook_pre_a_b'],
  ];
  for (const [step, command, name] of names) {
    test(`calls ${step} of ${command} ${name}`, () => assert.equal(hookName(step, command), name));
  }
});
