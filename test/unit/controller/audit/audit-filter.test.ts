import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditTest, type AuditFilter } from '../../../../controller/audit/audit-filter.ts';

const none: AuditFilter = {
  sinceUnixMs: 0,
  untilUnixMs: 0,
  hosts: [],
  user: '',
  stack: '',
  command: '',
  outcome: '',
  type: '',
  hook: '',
  run: '',
};
const at = Date.parse('2026-05-01T08:00:00.000Z');
const actor = { name: 'ada' };

const records = {
  login: { type: 'user.login', time: '2026-05-01T07:59:59.999Z', actor },
  begin: {
    type: 'run.started',
    time: '2026-05-01T08:00:00.000Z',
    actor,
    run: '01JABC',
    command: 'db:export',
    targets: ['prod-1:sexy', 'prod-2:news'],
  },
  hook: {
    type: 'hook.finished',
    time: '2026-05-01T08:00:01.000Z',
    actor,
    run: '01JABC',
    command: 'db:export',
    host: 'prod-1',
    stack: 'sexy',
    outcome: 'failed',
    hook: { name: 'hook_pre_db_export' },
  },
  joined: {
    type: 'host.joined',
    time: '2026-05-02T00:00:00.000Z',
    actor: { name: 'test-1' },
    host: 'test-1',
  },
} as const;

const cases: readonly [filter: Partial<AuditFilter>, names: readonly (keyof typeof records)[]][] = [
  [{ sinceUnixMs: at }, ['begin', 'hook', 'joined']],
  [{ untilUnixMs: at }, ['login', 'begin']],
  [{ user: 'ada' }, ['login', 'begin', 'hook']],
  [{ user: '{ada,test-*}', type: 'host.*' }, ['joined']],
  [{ hosts: ['prod-*'] }, ['begin', 'hook']],
  [{ hosts: ['*,!prod-1'] }, ['begin', 'joined']],
  [{ hosts: ['prod-2'], stack: 'sexy' }, []],
  [{ stack: 'news' }, ['begin']],
  [{ stack: '*' }, ['begin', 'hook']],
  [{ command: 'db:*' }, ['begin', 'hook']],
  [{ outcome: 'failed' }, ['hook']],
  [{ hook: 'hook_pre_*' }, ['hook']],
  [{ run: '01jab' }, ['begin', 'hook']],
];
for (const [filter, names] of cases) {
  test(`${JSON.stringify(filter)} passes ${names.join(', ') || 'none'}`, () => {
    const passes = auditTest({ ...none, ...filter });
    const passed = Object.entries(records).filter(([, record]) => passes?.(JSON.stringify(record)));
    assert.deepEqual(
      passed.map(([name]) => name),
      names,
    );
  });
}

test('a filter that all pass needs no look at the records', () => {
  assert.equal(auditTest(none), undefined);
});
