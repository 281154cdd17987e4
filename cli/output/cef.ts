import { printable } from '../../common/printable.ts';

/**
 * An audit record as a line of the Common Event Format (version 0), which log collectors read. It leaves out what that
 * has no place for, so it proves nothing. Pure.
 */
export function cefLine(record: Readonly<Record<string, unknown>>): string {
  const type = text(record['type']);
  const header = ['kompose', 'kompose', text(record['controllerVersion']), type, type, severity(record)];
  const extension = Object.entries(extensionOf(record))
    .filter(([, value]) => value !== '')
    .map(
      ([key, value]) =>
        `${key}=${value.replaceAll(/[\\=]/g, String.raw`\$&`).replaceAll(/\r?\n/g, String.raw`\n`)}`,
    );
  return printable(`CEF:0|${header.map(escapeHeader).join('|')}|${extension.join(' ')}`);
}

function extensionOf(record: Readonly<Record<string, unknown>>): Record<string, string> {
  const actor = inner(record['actor']);
  const hook = inner(record['hook']);
  const time = Date.parse(text(record['time']));
  return {
    externalId: String(record['seq']),
    rt: Number.isNaN(time) ? '' : String(time),
    suser: text(actor['name']),
    spriv: text(actor['role']),
    src: text(record['clientAddress']),
    dhost: text(record['host']),
    outcome: text(record['outcome']),
    reason: text(record['reason']),
    ...custom(1, 'stack', text(record['stack'])),
    ...custom(2, 'command', text(record['command'])),
    ...custom(3, 'run', text(record['run'])),
    ...custom(4, 'hook', text(hook['name'])),
    ...custom(5, 'scriptSha256', text(hook['sha256'])),
    ...custom(6, 'recordSha256', text(record['hash'])),
  };
}

function custom(n: number, label: string, value: string): Record<string, string> {
  return value === '' ? {} : { [`cs${n}Label`]: label, [`cs${n}`]: value };
}

/** 10: the audit itself was tampered with; 6: something was refused or failed; else 3. */
function severity({ type, outcome }: Readonly<Record<string, unknown>>): string {
  if (type === 'audit.contradicted') return '10';
  const isRefusal = ['request.denied', 'connection.refused', 'login.failed', 'host.refused'].includes(
    text(type),
  );
  const isFailure = !['', 'succeeded', 'skipped'].includes(text(outcome));
  return isRefusal || isFailure ? '6' : '3';
}

function escapeHeader(value: string): string {
  return value.replaceAll(/[\\|]/g, String.raw`\$&`).replaceAll(/[\r\n]+/g, ' ');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function inner(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
