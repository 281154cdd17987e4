import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { OutputRecorder } from '../../../../agent/tasks/task-recorder.ts';
import { Masker } from '../../../../common/redaction/masker.ts';
import type { TaskEvent } from '../../../../common/task-event.ts';

/** A recorder with one secret, `swordfish`, and the texts of the events that it made. */
function recorder(t: TestContext): { output: OutputRecorder; texts: string[] } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const texts: string[] = [];
  const sink = (event: TaskEvent): void => {
    if (event.type === 'output') texts.push(Buffer.from(event.data).toString());
  };
  return { output: new OutputRecorder('action', new Masker(['swordfish']), sink), texts };
}

function write(output: OutputRecorder, text: string): void {
  void output.write('stdout', Buffer.from(text));
}

describe('OutputRecorder', () => {
  test('gathers what comes within four milliseconds', (t) => {
    const { output, texts } = recorder(t);
    write(output, 'a');
    write(output, 'b');
    assert.deepEqual(texts, []);
    t.mock.timers.tick(4);
    assert.deepEqual(texts, ['ab']);
  });

  test('gives out at once what answers a piece of stdin, and gathers what follows it', (t) => {
    const { output, texts } = recorder(t);
    write(output, 'a');
    output.expectAnswer();
    write(output, '!');
    assert.deepEqual(texts, ['a!']);
    write(output, '?');
    assert.deepEqual(texts, ['a!']);
    t.mock.timers.tick(4);
    assert.deepEqual(texts, ['a!', '?']);
  });

  test('holds the beginning of a secret to the end of its step', async (t) => {
    const { output, texts } = recorder(t);
    write(output, 'sword');
    t.mock.timers.tick(1000);
    assert.deepEqual(texts, []);
    await output.finish();
    assert.deepEqual(texts, ['sword']);
  });
});

describe('OutputRecorder on a terminal', () => {
  test('shows the first at once and gathers what follows it closely', (t) => {
    const { output, texts } = recorder(t);
    output.showAtOnce();
    write(output, '!');
    write(output, '?');
    write(output, ';');
    assert.deepEqual(texts, ['!']);
    t.mock.timers.tick(4);
    assert.deepEqual(texts, ['!', '?;']);
    write(output, ':');
    assert.deepEqual(texts, ['!', '?;']);
    t.mock.timers.tick(4);
    t.mock.timers.tick(4);
    write(output, ',');
    assert.deepEqual(texts, ['!', '?;', ':', ',']);
  });

  test('shows what a key gives at once, however soon after another', (t) => {
    const { output, texts } = recorder(t);
    output.showAtOnce();
    write(output, '!');
    output.expectAnswer();
    write(output, '?');
    write(output, ';');
    assert.deepEqual(texts, ['!', '?']);
    t.mock.timers.tick(4);
    assert.deepEqual(texts, ['!', '?', ';']);
  });

  test('holds the beginning of a secret for 100 ms, and still hides its rest', async (t) => {
    const { output, texts } = recorder(t);
    output.showAtOnce();
    write(output, 'sword');
    t.mock.timers.tick(99);
    assert.deepEqual(texts, []);
    t.mock.timers.tick(1);
    assert.deepEqual(texts, ['sword']);
    t.mock.timers.tick(4);
    write(output, 'fish.');
    await output.finish();
    assert.equal(texts.join(''), 'sword[redacted].');
  });

  test('counts the 100 ms from the oldest byte that is held', (t) => {
    const { output, texts } = recorder(t);
    output.showAtOnce();
    write(output, 'sw');
    t.mock.timers.tick(60);
    write(output, 'or');
    t.mock.timers.tick(40);
    assert.deepEqual(texts, ['swor']);
    t.mock.timers.tick(10);
    write(output, 'X');
    t.mock.timers.tick(10);
    write(output, 'sw');
    t.mock.timers.tick(99);
    assert.equal(texts.join(''), 'sworX');
    t.mock.timers.tick(1);
    assert.equal(texts.join(''), 'sworXsw');
  });
});
