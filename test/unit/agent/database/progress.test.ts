import { equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureCause } from '../../../../agent/database/failure-cause.ts';
import { gapMs, progressText } from '../../../../agent/database/progress.ts';
import { sizeText } from '../../../../common/size-text.ts';

describe('progress', () => {
  test('tells bytes so far and rate', () => {
    equal(progressText('dumped', { bytes: 120e6 }, 60.4e6), 'dumped 120 MB, 60.4 MB/s');
  });
  test('tells the share where the whole is known', () => {
    const text = progressText('restored', { bytes: 1.23e9, totalBytes: 4.94e9 }, 80e6);
    equal(text, 'restored 1.23 GB of 4.94 GB (24 %), 80.0 MB/s');
  });
  test('says for what it waits when all is read', () => {
    const text = progressText('restored', { bytes: 2e6, totalBytes: 2e6 }, 0);
    equal(text, 'all 2.00 MB read, the server is still at work on it');
  });
  test('tells less often the longer it takes, once a minute at the least', () => {
    equal(gapMs(10_000), 500);
    equal(gapMs(600_000), 30_000);
    equal(gapMs(86_400_000), 60_000);
  });
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [999.6, '1.00 kB'],
    [1234, '1.23 kB'],
    [999_499_999, '999 MB'],
    [2e15, '2000 TB'],
  ] as const) {
    test(`${bytes} bytes are ${text}`, () => equal(sizeText(bytes), text));
  }
});

describe('the cause of a failure', () => {
  const cause = (...chunks: string[]): string | undefined => {
    const found = new FailureCause();
    for (const chunk of chunks) found.push(Buffer.from(chunk));
    return found.line;
  };
  test('is the first line that tells of an error, however it is cut', () => {
    equal(
      cause(
        'psql:<stdin>:3: NOTICE:  x\npsql:<stdin>:7: ERR',
        'OR:  boom\nDETAIL:  failed\npsql: error: more\n',
      ),
      'psql:<stdin>:7: ERROR:  boom',
    );
  });
  test('is else the last line, also without an end', () => equal(cause('one\n', 'two'), 'two'));
  test('is nothing where nothing was said', () => equal(cause('', '\n\n'), undefined));
  test('does not grow with what is said', () => equal(cause('x'.repeat(300_000))?.length, 64 * 1024));
});
