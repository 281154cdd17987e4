import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostFindings } from '../../../cli/commands/doctor.ts';
import type { Host } from '../../../proto/gen/kompose/v1/fleet.ts';

const nowMs = Date.UTC(2026, 0, 2);
const dayMs = 24 * 60 * 60 * 1000;

const well: Host = {
  name: 'prod-1',
  labels: {},
  online: true,
  lastSeenUnixMs: nowMs,
  onlineSinceUnixMs: nowMs,
  agentVersion: '0.1.0',
  stacks: 1,
  certificateNotAfterUnixMs: nowMs + 300 * dayMs,
  joinedUnixMs: 0,
  clockSkewMs: 12,
};

const hosts: readonly [what: string, change: Partial<Host>, statuses: string[]][] = [
  ['a host that is well', {}, ['ok', 'ok', 'ok']],
  [
    'one that is away, whose clock says nothing',
    { online: false, clockSkewMs: 99_000 },
    ['fail', 'ok', 'ok'],
  ],
  ['one whose clock is off', { clockSkewMs: -31_000 }, ['ok', 'warn', 'ok']],
  ['one whose certificate ends soon', { certificateNotAfterUnixMs: nowMs + dayMs }, ['ok', 'ok', 'warn']],
  ['one whose certificate has expired', { certificateNotAfterUnixMs: nowMs - 1 }, ['ok', 'ok', 'fail']],
];
for (const [what, change, statuses] of hosts) {
  test(`says ${statuses.join(', ')} of ${what}`, () => {
    const findings = hostFindings({ ...well, ...change }, nowMs);
    assert.deepEqual(
      findings.map(({ status }) => status),
      statuses,
    );
    assert.ok(findings.every(({ status, remedy }) => (status === 'ok') === (remedy === '')));
  });
}
