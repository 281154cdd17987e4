import { jsonLine, printable } from './printable.ts';
import { mostClockAheadMs } from './signing/order.ts';

/** What `doctor` says of one thing that it looked at. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly check: string;
  /** `warn` works today; `fail` does not. */
  readonly status: 'ok' | 'warn' | 'fail';
  /** What is so, in one line. */
  readonly text: string;
  /** What to do about it; empty for `ok`. */
  readonly remedy: string;
}

export function ok(check: string, text: string): Finding {
  return { check, status: 'ok', text, remedy: '' };
}

export function warn(check: string, text: string, remedy: string): Finding {
  return { check, status: 'warn', text, remedy };
}

export function fail(check: string, text: string, remedy: string): Finding {
  return { check, status: 'fail', text, remedy };
}

/** A line each, or one JSON object a line. Pure. */
export function findingLines(findings: readonly Finding[], isJson: boolean): string {
  if (isJson) return findings.map((finding) => `${jsonLine(finding)}\n`).join('');
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  return findings
    .map(({ check, status, text, remedy }) => {
      const hint = remedy === '' ? '' : `: ${remedy}`;
      return `${status.padEnd(4)}  ${check.padEnd(width)}  ${oneLine(`${text}${hint}`)}\n`;
    })
    .join('');
}

/** Of all that was looked at: 0, or 1 where something fails. Pure. */
export function findingsExitCode(findings: readonly Finding[]): number {
  return findings.some(({ status }) => status === 'fail') ? 1 : 0;
}

/** Texts come from elsewhere: none of them may move the cursor or begin a line. */
function oneLine(text: string): string {
  return printable(text.replaceAll(/\s+/g, ' '));
}

const dayMs = 24 * 60 * 60 * 1000;
/** A certificate that ends sooner is worth a word. */
export const certificateNoticeMs = 14 * dayMs;
/** Clocks that are further apart are worth a word. */
export const clockNoticeMs = 30_000;

/** Of a certificate; `remedy` renews it. Pure. */
export function certificateFinding(
  check: string,
  notAfterMs: number,
  nowMs: number,
  remedy: string,
): Finding {
  const end = new Date(notAfterMs).toISOString();
  if (notAfterMs <= nowMs) return fail(check, `the certificate expired at ${end}`, remedy);
  const days = Math.floor((notAfterMs - nowMs) / dayMs);
  if (notAfterMs - nowMs > certificateNoticeMs) return ok(check, `good for ${days} days, until ${end}`);
  return warn(check, `the certificate ends in ${days} days, at ${end}`, remedy);
}

/** Of two clocks; `skewMs` is how far `whose` is before the controller's. Pure. */
export function clockFinding(check: string, skewMs: number, whose: string): Finding {
  const seconds = `${(Math.abs(skewMs) / 1000).toFixed(1)} s`;
  const where = skewMs < 0 ? 'behind' : 'before';
  if (Math.abs(skewMs) <= clockNoticeMs) return ok(check, `${seconds} from the controller's`);
  const remedy = 'set it: timedatectl set-ntp true';
  const isTooLate = skewMs > mostClockAheadMs;
  const denied = isTooLate
    ? '; until then what users sign for a single target is denied there as too late'
    : '';
  return warn(check, `${whose} is ${seconds} ${where} the controller's`, remedy + denied);
}
