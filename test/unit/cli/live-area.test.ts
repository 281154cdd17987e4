import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LiveArea } from '../../../cli/output/live/live-area.ts';
import { harmless } from '../../../cli/output/terminal-text.ts';
import { EmulatedScreen } from '../../e2e/emulated-screen.ts';

/** An area on a screen of both streams, which counts what is written to it. */
class Shown {
  readonly screen: EmulatedScreen;
  readonly size: { rows: number; columns: number };
  readonly area: LiveArea;
  writes = 0;

  constructor(columns = 40, rows = 10) {
    this.size = { columns, rows };
    this.screen = new EmulatedScreen(columns, rows);
    const write = (data: string | Uint8Array): void => {
      this.writes++;
      this.screen.write(data);
    };
    this.area = new LiveArea({ stdout: write, stderr: write }, () => this.size, true);
  }

  resize(columns: number): void {
    this.size.columns = columns;
    this.screen.resize(columns);
  }

  get lines(): string[] {
    return this.screen.text.split('\n');
  }
}

const fail = (): never => assert.fail('something is written to stderr');

test('keeps what is written above it, in order, and itself below', () => {
  const { area, screen } = new Shown();
  area.begin();
  area.draw(['one', 'two']);
  area.stdout('first\n');
  area.stderr('second\n');
  area.draw(['three', 'four', 'five']);
  assert.equal(screen.text, 'first\nsecond\nthree\nfour\nfive');
  area.draw(['six']);
  assert.equal(screen.text, 'first\nsecond\nsix');
});

test('leaves nothing of itself behind at the end, and then passes bytes unchanged', () => {
  const shown = new Shown();
  shown.area.begin();
  shown.area.draw(['one', 'two']);
  shown.area.stdout('first\n');
  shown.area.end();
  assert.equal(shown.screen.text, 'first');
  const bytes: (string | Uint8Array)[] = [];
  const area = new LiveArea({ stdout: (data) => bytes.push(data), stderr: fail }, () => shown.size, true);
  area.stdout('\u001b[2J\r');
  assert.deepEqual(bytes, ['\u001b[2J\r']);
});

test('passes bytes to a stdout that is elsewhere', () => {
  const bytes: (string | Uint8Array)[] = [];
  const sink = { stdout: (data: string | Uint8Array) => bytes.push(data), stderr: fail };
  const area = new LiveArea(sink, () => ({ rows: 10, columns: 40 }), false);
  area.begin();
  area.stdout(Uint8Array.from([0xff, 0x1b]));
  assert.deepEqual(bytes, [Uint8Array.from([0xff, 0x1b])]);
});

test('writes nothing while nothing changes, and one piece a frame when something does', () => {
  const shown = new Shown();
  shown.area.begin();
  shown.area.draw(['one']);
  for (let count = 0; count < 100; count++) shown.area.draw(['one']);
  assert.equal(shown.writes, 1);
  for (let count = 0; count < 100; count++) shown.area.stdout('line\n');
  shown.area.draw(['two']);
  assert.equal(shown.writes, 2);
});

test('does not hold back more than a bounded piece', () => {
  const shown = new Shown();
  shown.area.begin();
  shown.area.stdout(`${'x'.repeat(39)}\n`.repeat(1700));
  assert.equal(shown.writes, 1);
});

test('leaves alone what others wrote while the process was stopped', () => {
  const { area, screen } = new Shown();
  area.begin();
  area.draw(['one', 'two']);
  screen.write('[1]+  Stopped\n$ fg\n');
  area.forget();
  area.draw(['three']);
  assert.equal(screen.text, 'one\ntwo\n[1]+  Stopped\n$ fg\nthree');
});

test('loses no line and leaves no trace of itself, however it is drawn and the screen resized', () => {
  const step = fc.oneof(
    fc.record({ print: fc.stringMatching(/^[a-z ]{0,60}[a-z]$/) }),
    fc.record({ height: fc.nat(6) }),
    fc.record({ columns: fc.integer({ min: 20, max: 60 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const shown = new Shown(40, 60);
      const printed: string[] = [];
      shown.area.begin();
      for (const [index, each] of steps.entries()) {
        if ('columns' in each) shown.resize(each.columns);
        else if ('height' in each)
          shown.area.draw(
            Array.from({ length: each.height }, () => `=${index}`.padEnd(shown.size.columns - 1, '=')),
          );
        else {
          shown.area.stdout(`${each.print}\n`);
          printed.push(each.print);
        }
      }
      shown.area.end();
      const withoutBreaks = (text: string): string => text.replaceAll(/\s/g, '');
      assert.equal(withoutBreaks(shown.screen.text), withoutBreaks(printed.join('')));
    }),
  );
});

const texts: readonly [what: string, text: string, shown: string][] = [
  ['colours, and ends them with the line', '\u001b[31mred\nnext', '\u001b[31mred\u001b[0m\nnext'],
  ['colours that end by themselves', '\u001b[1;31mred\u001b[0m!', '\u001b[1;31mred\u001b[0m!'],
  ['no movement of the cursor', 'a\u001b[2A\u001b[2J\u001b[?25l\u001b[>4;1mb', 'ab'],
  ['no titles and links', '\u001b]0;title\u0007\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\', 'link'],
  ['a beginning of a sequence as text', 'a\u001b', String.raw`a\x1b`],
  ['other control characters as text', 'a\u0007\b\u009b2J\u202e', String.raw`a\x07\x08\x9b2J\u202e`],
  ['tabs and everything else as it is', 'a\tb … 日本 🚢', 'a\tb … 日本 🚢'],
];
for (const [what, text, shown] of texts) {
  test(`lets pass to a terminal ${what}`, () => {
    assert.equal(harmless(text), shown);
  });
}
