import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainRenderer } from '../../../cli/output/plain.ts';
import type { Style } from '../../../cli/output/style.ts';
import {
  finished,
  output,
  plainStyle,
  play,
  Recorder,
  stepFinished,
  stepStarted,
  targets,
  type RunScript,
} from './recorded.ts';

function shown(script: RunScript, style: Style = plainStyle): { stdout: string; stderr: string } {
  const recorder = new Recorder();
  play(plainRenderer(recorder, style), script);
  return { stdout: recorder.text('stdout'), stderr: recorder.text('stderr') };
}

const one = targets('prod-1:sexy');
const two = targets('prod-1:sexy', 'staging-1:news');

test('passes the bytes of a single target unchanged', () => {
  const recorder = new Recorder();
  const bytes = Buffer.from([0, 0xff, 0x0d, 0x0a, 0xc3, 0x1b, 0x5b]);
  play(plainRenderer(recorder, plainStyle), {
    targets: one,
    events: [
      [1, output(bytes.subarray(0, 5))],
      [1, output(bytes.subarray(5))],
      [1, finished('succeeded')],
    ],
  });
  assert.deepEqual(recorder.bytes('stdout'), bytes);
});

test('keeps stdout of a single target free of hooks and of its own lines', () => {
  const { stdout, stderr } = shown({
    targets: one,
    events: [
      [1, { type: 'task.started' }],
      [1, stepStarted('pre', 'hook_pre_up')],
      [1, output('preparing\n', { step: 'pre' })],
      [1, output('careful\n', { step: 'pre', stream: 'stderr' })],
      [1, stepFinished('pre', 'hook_pre_up')],
      [1, stepStarted('action', 'docker compose up')],
      [1, output('data')],
      [1, output('warning\n', { stream: 'stderr' })],
      [1, stepFinished('action', 'docker compose up')],
      [1, finished('succeeded')],
    ],
  });
  assert.equal(stdout, 'data');
  assert.equal(
    stderr,
    [
      'prod-1:sexy  hook_pre_up …',
      'preparing',
      'careful',
      'prod-1:sexy  docker compose up …',
      'warning',
      'prod-1:sexy succeeded in 1.2s',
      '',
    ].join('\n'),
  );
});

test("begins its own line anew after a hook's line without an end", () => {
  const { stderr } = shown({
    targets: one,
    events: [
      [1, output('no end', { step: 'post' })],
      [1, finished('succeeded')],
    ],
  });
  assert.equal(stderr, 'no end\nprod-1:sexy succeeded in 1.2s\n');
});

test("begins its own line anew after stdout's only where both are one terminal", () => {
  const script: RunScript = {
    targets: one,
    events: [
      [1, output('x')],
      [1, finished('succeeded')],
    ],
  };
  assert.equal(shown(script).stderr, 'prod-1:sexy succeeded in 1.2s\n');
  assert.equal(
    shown(script, { ...plainStyle, sharedTerminal: true }).stderr,
    '\nprod-1:sexy succeeded in 1.2s\n',
  );
});

const ends: readonly [string, RunScript['events'][number][1], string][] = [
  [
    'a failure',
    finished('failed', 'hook_pre_up ended with exit code 3'),
    'failed after 1.2s: hook_pre_up ended with exit code 3',
  ],
  [
    'a host that was away',
    finished('unreachable', 'host prod-1 is offline'),
    'unreachable: host prod-1 is offline',
  ],
  ['a timeout', finished('timed-out', 'after 3s'), 'timed-out after 1.2s: after 3s'],
  ['a cancel', finished('cancelled', 'by ada'), 'cancelled after 1.2s: by ada'],
  ['control characters', finished('failed', 'a\u001b[2Jb\nc'), String.raw`failed after 1.2s: a\x1b[2Jb\nc`],
];
for (const [what, event, line] of ends) {
  test(`tells ${what} of a single target, also when quiet`, () => {
    const script: RunScript = { targets: one, events: [[1, event]] };
    assert.equal(shown(script).stderr, `prod-1:sexy ${line}\n`);
    assert.equal(shown(script, { ...plainStyle, quiet: true }).stderr, `prod-1:sexy ${line}\n`);
  });
}

test('says for whom a task waits, and passes notices on', () => {
  const { stderr } = shown({
    targets: one,
    events: [
      [1, { type: 'task.queued', waitingFor: 'run R0 by bob' }],
      [1, { type: 'notice', text: 'chmod 750 hooks.sh' }],
    ],
  });
  assert.equal(stderr, 'prod-1:sexy  waits for run R0 by bob\nprod-1:sexy  chmod 750 hooks.sh\n');
});

test('is silent about itself when quiet', () => {
  for (const named of [one, two]) {
    const { stdout, stderr } = shown(
      {
        targets: named,
        events: [
          [1, stepStarted('pre', 'hook_pre_up')],
          [1, { type: 'notice', text: 'hint' }],
          [1, output('out\n')],
          [1, finished('succeeded')],
        ],
      },
      { ...plainStyle, quiet: true },
    );
    assert.equal(stderr, '');
    assert.match(stdout, /out\n$/);
  }
});

test('never tears a line between targets', () => {
  const { stdout } = shown({
    targets: two,
    events: [
      [1, output('one ')],
      [2, output('eins ')],
      [1, output('two\nthree')],
      [2, output('zwei\n')],
      [1, stepFinished('action', 'docker compose up')],
    ],
  });
  assert.equal(
    stdout,
    ['prod-1:sexy    | one two\n', 'staging-1:news | eins zwei\n', 'prod-1:sexy    | three\n'].join(''),
  );
});

test('keeps stdout and stderr of a target apart, and hooks on stderr', () => {
  const { stdout, stderr } = shown({
    targets: two,
    command: 'ps',
    events: [
      [2, output('from a hook\n', { step: 'pre' })],
      [2, output('out')],
      [2, output('err\n', { stream: 'stderr' })],
      [2, output('put\n')],
    ],
  });
  assert.equal(stdout, 'staging-1:news | output\n');
  assert.match(stderr, /^staging-1:news \| from a hook\nstaging-1:news \| err\n/m);
});

test('shows of a progress line its last state', () => {
  const { stdout } = shown({
    targets: two,
    events: [
      [1, output('10%\r20%')],
      [1, output('\r100%\r')],
      [1, output('\n')],
    ],
  });
  assert.equal(stdout, 'prod-1:sexy    | 100%\n');
});

test('colours each target where it is wanted', () => {
  const style: Style = { ...plainStyle, colour: { stdout: true, stderr: false } };
  const { stdout } = shown(
    {
      targets: two,
      events: [
        [1, output('a\n')],
        [2, output('b\n')],
      ],
    },
    style,
  );
  assert.equal(stdout, '\u001b[36mprod-1:sexy    |\u001b[0m a\n\u001b[33mstaging-1:news |\u001b[0m b\n');
});

test('escapes control characters in the names of targets', () => {
  const { stdout } = shown({ targets: targets('a:b\u001b[2J', 'c:d'), events: [[1, output('x\n')]] });
  assert.equal(stdout, String.raw`a:b\x1b[2J | x` + '\n');
});

test('names every target in the summary, trouble last', () => {
  const named = targets('a:ok', 'b:bad', 'c:away', 'd:nothing', 'e:unheard');
  const { stderr } = shown({
    targets: named,
    events: [
      [1, stepStarted('action', 'docker compose up')],
      [1, finished('succeeded')],
      [3, finished('unreachable', 'host c is offline', 0)],
      [4, finished('skipped', 'no DB_NAME', 0)],
      [2, finished('failed', 'exit code 3', 61_000)],
    ],
    exitCode: 1,
    state: 'failed',
  });
  assert.equal(
    stderr,
    [
      'run R1: up on 5 targets',
      'a:ok       docker compose up …',
      'c:away     unreachable: host c is offline',
      'b:bad      failed after 1m01s: exit code 3',
      'succeeded    a:ok        1.2s',
      'skipped      d:nothing      -  no DB_NAME',
      'unreachable  c:away         -  host c is offline',
      'lost         e:unheard    0ms  the controller did not say how it ended',
      'failed       b:bad      1m01s  exit code 3',
      '5 targets: 1 failed, 1 unreachable, 1 skipped, 1 succeeded in 2.1s; exit code 1',
      'more: kompose runs show R1',
      '',
    ].join('\n'),
  );
});

test('says in the summary what the step that failed said last on stderr', () => {
  const { stderr } = shown({
    targets: two,
    events: [
      [1, stepStarted('pre', 'hook_pre_up')],
      [1, output('of another step\n', { step: 'pre', stream: 'stderr' })],
      [1, stepFinished('pre', 'hook_pre_up')],
      [1, stepStarted('action', 'docker compose up')],
      [1, output('first\n\u001b[31mno such\timage\u0007\u001b[0m\n \nout', { stream: 'stderr' })],
      [1, output(' of space\r\n\n', { stream: 'stderr' })],
      [1, output('on stdout\n')],
      [1, stepFinished('action', 'docker compose up', 'failed')],
      [1, output('sorry\n', { step: 'fail', stream: 'stderr' })],
      [1, stepFinished('fail', 'hook_fail_up')],
      [1, finished('failed', 'docker compose up ended with exit code 1')],
      [2, output('well\n', { stream: 'stderr' })],
      [2, stepFinished('action', 'docker compose up')],
      [2, finished('succeeded')],
    ],
  });
  const summary = stderr.slice(stderr.indexOf('succeeded'));
  assert.match(summary, /^succeeded  staging-1:news  1.2s\nfailed     prod-1:sexy     1.2s  /);
  assert.match(summary, / docker compose up ended with exit code 1: out of space\n/);
});

test('makes the last words of a step one harmless line', () => {
  const { stderr } = shown({
    targets: two,
    events: [
      [1, output(`\u001b[31mno\tsuch\u0007 ${'x'.repeat(300)}`, { stream: 'stderr' })],
      [1, stepFinished('action', 'docker compose up', 'failed')],
      [1, finished('failed', 'why')],
    ],
  });
  assert.match(stderr, /  why: no such\\x07 x{170,190}…\n/);
});

test('does not announce the steps of a reading command on several targets', () => {
  const { stderr } = shown({
    targets: two,
    command: 'ps',
    events: [[1, stepStarted('action', 'docker compose ps')]],
  });
  assert.doesNotMatch(stderr, /docker compose ps/);
});

test('prints the plan of a dry run on stdout, in the order of the targets', () => {
  const step = { type: 'plan.step', cwd: '/srv/sexy', envNames: ['A'], uncertain: false } as const;
  const { stdout, stderr } = shown({
    targets: two,
    dryRun: true,
    events: [
      [
        2,
        {
          ...step,
          step: 'action',
          name: 'docker compose up',
          argv: ['docker', 'compose', 'up', 'a b'],
          cwd: '/srv/news',
        },
      ],
      [2, finished('succeeded')],
      [1, { ...step, step: 'pre', name: 'hook_pre_up', argv: ['hook_pre_up', 'up', ''], uncertain: true }],
      [
        1,
        { ...step, step: 'action', name: 'docker compose up', argv: ['docker', 'compose', 'up', "it's\n"] },
      ],
      [1, finished('succeeded')],
    ],
  });
  assert.equal(
    stdout,
    [
      'prod-1:sexy  in /srv/sexy',
      "  pre     hook_pre_up up ''   # if defined: hooks.sh sources other files, which may define more",
      String.raw`  action  docker compose up $'it\'s\n'`,
      'staging-1:news  in /srv/news',
      "  action  docker compose up 'a b'",
      '',
    ].join('\n'),
  );
  assert.equal(stderr, '');
});

test('tells why a target has no plan', () => {
  const { stdout, stderr } = shown({
    targets: one,
    dryRun: true,
    events: [[1, finished('unreachable', 'host prod-1 is offline', 0)]],
  });
  assert.equal(stdout, '');
  assert.equal(stderr, 'prod-1:sexy  unreachable: host prod-1 is offline\n');
});
