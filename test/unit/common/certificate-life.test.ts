import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { certificateSkewMs, renewalDueMs, type CertificateLife } from '../../../common/certificate-life.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const signedMs = Date.parse('2026-01-01T00:00:00Z');

/** As the controller signs it, whose clock says `signedMs`. */
function life(validMs: number): CertificateLife {
  return { notBeforeMs: signedMs - certificateSkewMs, notAfterMs: signedMs + validMs };
}

/** Whether it is renewed by somebody whose clock says this. */
function isDue(certificate: CertificateLife, nowMs: number, holder = 'prod-1'): boolean {
  return nowMs >= renewalDueMs(certificate, holder);
}

const holders = Array.from({ length: 1_000 }, (_, at) => `host-${at}`);

describe('a certificate is renewed', () => {
  test('at two thirds of the life that it was signed for, or up to a twelfth later', () => {
    const dues = holders.map((holder) => renewalDueMs(life(90 * dayMs), holder) - signedMs);
    assert.ok(Math.min(...dues) >= 60 * dayMs);
    assert.ok(Math.max(...dues) < 67.5 * dayMs);
  });

  test('by each holder at a time of its own, which stays the same', () => {
    const certificate = life(90 * dayMs);
    const days = new Map<number, number>();
    for (const holder of holders) {
      const due = renewalDueMs(certificate, holder);
      assert.equal(renewalDueMs({ ...certificate }, holder), due);
      const day = Math.floor((due - signedMs) / dayMs);
      days.set(day, (days.get(day) ?? 0) + 1);
    }
    // Seven and a half days: none has much more than its share of the thousand.
    assert.deepEqual(
      [...days.keys()].toSorted((one, other) => one - other),
      [60, 61, 62, 63, 64, 65, 66, 67],
    );
    assert.ok(Math.max(...days.values()) < 200, `${Math.max(...days.values())} on one day`);
  });

  test('with a quarter of its life left at least, whatever its life', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 4_000 * dayMs }), fc.string(), (validMs, holder) => {
        const due = renewalDueMs(life(validMs), holder) - signedMs;
        // Times are fractions of milliseconds here.
        assert.ok(due >= (validMs * 2) / 3 - 1, `${due} of ${validMs}`);
        assert.ok(due <= (validMs * 3) / 4 + 1, `${due} of ${validMs}`);
      }),
    );
  });

  test('once it has ended, and all the time up to then', () => {
    const certificate = life(90 * dayMs);
    for (const day of [68, 80, 89.9, 90, 91, 10_000])
      assert.ok(isDue(certificate, signedMs + day * dayMs), `${day}`);
  });
});

describe('a certificate is not renewed', () => {
  test('before it is valid, nor when it has just been signed', () => {
    const certificate = life(90 * dayMs);
    for (const nowMs of [
      0,
      certificate.notBeforeMs - dayMs,
      certificate.notBeforeMs,
      signedMs,
      signedMs + 59 * dayMs,
    ])
      assert.equal(isDue(certificate, nowMs), false, new Date(nowMs).toISOString());
  });

  test('sooner or later than by so much as a clock is wrong', () => {
    const certificate = life(90 * dayMs);
    const due = renewalDueMs(certificate, 'prod-1');
    for (const skewMs of [-26 * hourMs, -3 * hourMs, 0, 3 * hourMs, 26 * hourMs]) {
      const clock = (nowMs: number): number => nowMs + skewMs;
      assert.equal(isDue(certificate, clock(signedMs)), false, 'just signed');
      assert.equal(isDue(certificate, clock(due - skewMs - 1)), false);
      assert.ok(isDue(certificate, clock(due - skewMs)));
      assert.ok(isDue(certificate, clock(certificate.notAfterMs - 2 * dayMs)), 'long before it ends');
    }
  });

  test('at once by a clock that is behind by more than it is valid from before, where its life is an hour', () => {
    const certificate = life(hourMs);
    const behind = signedMs - 2 * certificateSkewMs;
    assert.equal(isDue(certificate, behind), false);
    assert.equal(isDue(certificate, signedMs + 39 * 60_000), false);
    assert.ok(isDue(certificate, signedMs + 45 * 60_000));
  });
});
