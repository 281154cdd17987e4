import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KomposeError } from '../../../../common/errors.ts';
import { LinkReports } from '../../../../controller/services/link-reports.ts';

const task = '01J00000000000000000000000';

test('when something that a task tells cannot be taken, nothing counts that it told after it', async () => {
  const first = Promise.withResolvers<void>();
  const taken: number[] = [];
  const run = {
    hostOf: () => 'prod-1',
    take: (_: string, [event]: Uint8Array[]) => {
      taken.push(event?.[0] ?? 0);
      return event?.[0] === 1 ? first.promise : Promise.resolve();
    },
    lastSeq: () => 0,
    seen: () => Promise.resolve(),
  };
  const runs = { ofTask: () => run } as never;
  const reports = new LinkReports({ runs, host: 'prod-1', agentVersion: '', send: () => undefined });
  const news = [1, 2].map((event) => reports.take({ taskId: task, events: [Uint8Array.of(event)] }));
  const answers = Promise.allSettled(news);
  first.reject(new KomposeError('unavailable', 'the disk is full'));
  assert.deepEqual(
    (await answers).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(taken, [1]);
});
