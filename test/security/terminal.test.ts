import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { cefLine } from '../../cli/output/cef.ts';
import { jsonRenderer } from '../../cli/output/json.ts';
import { plainRenderer } from '../../cli/output/plain.ts';
import { shellQuote } from '../../cli/output/shell-quote.ts';
import { stackLines } from '../../cli/output/stack-lines.ts';
import type { Style } from '../../cli/output/style.ts';
import { recordText } from '../../common/audit/chain.ts';
import { findingLines, warn } from '../../common/finding.ts';
import { jsonLine, printable } from '../../common/printable.ts';
import type { TaskEvent } from '../../common/task-event.ts';
import { EmulatedScreen } from '../e2e/emulated-screen.ts';
import {
  finished,
  output,
  plainStyle,
  play,
  Recorder,
  stepFinished,
  stepStarted,
  targets,
} from '../unit/cli/recorded.ts';
import { evilTexts, isHarmless, isHarmlessInColour } from './evil.ts';

const onTerminal: Style = {
  ...plainStyle,
  onTerminal: { stdout: true, stderr: true },
  sharedTerminal: true,
};
const two = targets('prod-1:evil', 'prod-2:good');

/** All that a run of two targets shows of this output of the first, while the second says something. */
function shownOf(said: readonly (string | Uint8Array)[], style: Style = onTerminal): string {
  const recorder = new Recorder();
  const events = said.flatMap((text, at): [number, TaskEvent][] => [
    [2, output(`line ${at} of the other\n`)],
    [1, output(text, { stream: at % 2 === 0 ? 'stdout' : 'stderr' })],
  ]);
  play(plainRenderer(recorder, style), {
    targets: two,
    events: [...events, [1, finished('succeeded')], [2, finished('succeeded')]],
  });
  return recorder.text('stdout') + recorder.text('stderr');
}

function linesOfTheOther(screen: string): string[] {
  return screen.split('\n').filter((line) => /\| line \d+ of the other$/.test(line));
}

describe('of several targets on a terminal', () => {
  for (const [what, evil] of Object.entries(evilTexts)) {
    test(`one cannot reach the lines of another: ${what}`, () => {
      const shown = shownOf([evil, `${evil}\n`, evil]);
      assert.ok(isHarmlessInColour(shown), JSON.stringify(shown.slice(0, 200)));
      const screen = new EmulatedScreen(200, 50);
      screen.write(shown);
      const expected = [0, 1, 2].map((at) => `prod-2:good | line ${at} of the other`);
      assert.deepEqual(linesOfTheOther(screen.text), expected);
    });
  }

  test('one cannot reach the lines of another, whatever bytes it writes', () => {
    const piece = fc.oneof(
      fc.constantFrom('\u001b', '\u001b[', '\u009b', '\u001b]', ';', '2J', 'A', '\r', '\n', '\b', 'm', '31m'),
      fc.constantFrom(...Object.values(evilTexts).filter(({ length }) => length < 100)),
      fc.string({ maxLength: 8 }),
    );
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => Buffer.from(pieces.join('')));
    const bytes = fc.oneof(text, fc.uint8Array({ maxLength: 20 }));
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1, maxLength: 5 }), (said) => {
        const shown = shownOf(said);
        assert.ok(isHarmlessInColour(shown));
        const screen = new EmulatedScreen(400, 100);
        screen.write(shown);
        assert.equal(linesOfTheOther(screen.text).length, said.length);
      }),
      { numRuns: 500 },
    );
  });

  test('colours stay, and end with their line', () => {
    const shown = shownOf(['\u001b[1;31mred\nplain\n']);
    assert.ok(shown.includes('prod-1:evil | \u001b[1;31mred\u001b[0m\nprod-1:evil | plain\n'));
  });

  test('nothing changes what goes to a file', () => {
    assert.ok(shownOf(['\u001b[2Jx\n'], plainStyle).includes('prod-1:evil | \u001b[2Jx\n'));
  });
});

test('of one target the bytes are the command’s, on a terminal too', () => {
  const recorder = new Recorder();
  const [target = two[0]] = targets('prod-1:evil');
  assert.ok(target !== undefined);
  const events: [number, TaskEvent][] = [
    [1, output(evilTexts['a cleared screen'] ?? '')],
    [1, finished('succeeded')],
  ];
  play(plainRenderer(recorder, onTerminal), { targets: [target], events });
  assert.equal(recorder.text('stdout'), evilTexts['a cleared screen']);
});

describe('what a host says of a run is escaped where it is shown:', () => {
  for (const [what, evil] of Object.entries(evilTexts)) {
    const events: [number, TaskEvent][] = [
      [1, { type: 'task.queued', waitingFor: evil }],
      [1, stepStarted('pre', evil)],
      [1, stepFinished('pre', evil, 'failed')],
      [1, { type: 'notice', text: evil }],
      [1, finished('failed', evil)],
      [2, finished('succeeded')],
    ];
    const named = [{ task: 'T1', host: evil, stack: evil }, ...targets('prod-2:good')];
    const planStep: TaskEvent = {
      type: 'plan.step',
      step: 'action',
      name: evil,
      argv: [evil],
      cwd: evil,
      envNames: [evil],
      uncertain: false,
    };

    test(`several targets, ${what}`, () => {
      const recorder = new Recorder();
      play(plainRenderer(recorder, onTerminal), { targets: named, events });
      assert.ok(isHarmlessInColour(recorder.text('stderr')));
    });

    test(`one target, ${what}`, () => {
      const recorder = new Recorder();
      const own = events.filter(([task]) => task === 1);
      play(plainRenderer(recorder, onTerminal), { targets: named.slice(0, 1), events: own });
      assert.ok(isHarmlessInColour(recorder.text('stderr')));
    });

    test(`a plan, ${what}`, () => {
      const recorder = new Recorder();
      play(plainRenderer(recorder, onTerminal), {
        targets: named,
        dryRun: true,
        events: [[1, planStep], ...events],
      });
      assert.ok(isHarmlessInColour(recorder.text('stdout') + recorder.text('stderr')));
    });

    test(`-o json, ${what}`, () => {
      const recorder = new Recorder();
      play(jsonRenderer(recorder, false), {
        targets: named,
        events: [[1, planStep], [1, output(evil)], ...events],
      });
      assert.ok(isHarmless(recorder.text('stdout').replaceAll('\n', '')));
      assert.ok(recorder.lines.some((line) => JSON.stringify(line).includes(JSON.stringify(evil))));
    });
  }
});

describe('no text from elsewhere gets raw', () => {
  for (const [what, evil] of Object.entries(evilTexts)) {
    test(`into a line of kompose’s own, a command to type, JSON, a stack, a finding, CEF or the audit: ${what}`, () => {
      const record = recordText({ seq: 0, hash: '' }, { type: evil, reason: evil, [evil]: evil });
      const lines = [
        printable(evil),
        shellQuote([evil, 'b']),
        jsonLine({ [evil]: evil }),
        cefLine({ type: evil, reason: evil, host: evil, seq: 1 }),
        record,
      ];
      for (const line of lines) assert.ok(isHarmless(line) && !/[\n\t]/.test(line), line.slice(0, 80));
      assert.deepEqual(JSON.parse(jsonLine({ [evil]: evil })), { [evil]: evil });
      assert.equal((JSON.parse(record) as { reason: string }).reason, evil);
      for (const some of [stackLines(new Error(evil)), findingLines([warn('x', evil, evil)], false)])
        assert.ok(isHarmless(some), some.slice(0, 80));
    });
  }
});
