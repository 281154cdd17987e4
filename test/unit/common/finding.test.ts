import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  certificateFinding,
  clockFinding,
  fail,
  findingLines,
  findingsExitCode,
  ok,
  warn,
} from '../../../common/finding.ts';

const dayMs = 24 * 60 * 60 * 1000;
const nowMs = Date.UTC(2026, 0, 2);

const findings = [ok('engine', 'version 28'), warn('hooks of news', 'odd\nname', 'chmod 750 x')];

test('prints a line each, aligned, with its remedy, and nothing that could begin another line', () => {
  assert.equal(
    findingLines(findings, false),
    'ok    engine         version 28\nwarn  hooks of news  odd name: chmod 750 x\n',
  );
});

test('prints one object a line for programs', () => {
  assert.deepEqual(
    findingLines(findings, true)
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
    [
      { check: 'engine', status: 'ok', text: 'version 28', remedy: '' },
      { check: 'hooks of news', status: 'warn', text: 'odd\nname', remedy: 'chmod 750 x' },
    ],
  );
});

test('ends with 1 where something fails, not for a warning', () => {
  assert.equal(findingsExitCode(findings), 0);
  assert.equal(findingsExitCode([...findings, fail('a', 'b', 'c')]), 1);
});

for (const [leftMs, status] of [
  [15 * dayMs, 'ok'],
  [14 * dayMs, 'warn'],
  [1, 'warn'],
  [0, 'fail'],
  [-dayMs, 'fail'],
] as const) {
  test(`says ${status} of a certificate with ${leftMs} ms to go`, () => {
    const finding = certificateFinding('x', nowMs + leftMs, nowMs, 'renew');
    assert.equal(finding.status, status);
    assert.equal(finding.remedy, status === 'ok' ? '' : 'renew');
  });
}

test('says of a clock that is far ahead what is denied there', () => {
  const limitMs = 15 * 60_000;
  assert.match(clockFinding('clock', limitMs + 1, 'its clock').remedy, /is denied there as too late/);
  for (const skewMs of [limitMs, -10 * limitMs])
    assert.doesNotMatch(clockFinding('clock', skewMs, 'its clock').remedy, /denied/);
});

for (const [skewMs, status, part] of [
  [30_000, 'ok', '30.0 s'],
  [30_001, 'warn', 'before'],
  [-90_000, 'warn', '90.0 s behind'],
] as const) {
  test(`says ${status} of a clock that is ${skewMs} ms away`, () => {
    const finding = clockFinding('clock', skewMs, 'its clock');
    assert.equal(finding.status, status);
    assert.ok(finding.text.includes(part), finding.text);
  });
}
