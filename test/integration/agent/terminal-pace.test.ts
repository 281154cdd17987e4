import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOnTerminal } from '../../../agent/process/running-terminal.ts';

const terminal = { rows: 24, columns: 80, term: 'xterm' };
const env = { PATH: process.env['PATH'] ?? '' };

test('a screen waits for its reader, and loses nothing when its program ends meanwhile', async () => {
  const shown: Uint8Array[] = [];
  let waiting: (() => void) | undefined;
  const held = Promise.withResolvers<void>();
  const { ended } = await startOnTerminal({
    argv: ['seq', '1', '3000'],
    cwd: '/',
    env,
    terminal,
    onStart: () => undefined,
    onOutput: (chunk) => {
      shown.push(chunk);
      if (waiting !== undefined) return undefined;
      const taken = Promise.withResolvers<void>();
      waiting = taken.resolve;
      held.resolve();
      return taken.promise;
    },
  });
  await held.promise;
  // Longer than the library waits for what an ended program has left.
  const outcome = await Promise.race([
    ended,
    new Promise((resolve) => void setTimeout(resolve, 500, 'held')),
  ]);
  assert.equal(outcome, 'held');
  assert.equal(shown.length, 1);
  waiting?.();
  assert.equal((await ended).exitCode, 0);
  const expected = Array.from({ length: 3000 }, (_, at) => `${at + 1}\r\n`).join('');
  assert.equal(Buffer.concat(shown).toString(), expected);
});
