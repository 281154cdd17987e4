import { formatDuration } from '../../common/durations.ts';
import { shellQuote } from './shell-quote.ts';
import { briefTimeText, timeText } from './values.ts';

/** A record as a line of a table. */
export interface AuditLine {
  readonly seq: string;
  readonly when: string;
  readonly briefWhen: string;
  readonly who: string;
  readonly from: string;
  readonly what: string;
  readonly targets: string;
  readonly result: string;
}

/** More targets than this are counted. */
const mostTargets = 3;

/** Records may be older or newer than this version: what is not there, or not as expected, is left empty. */
export function describeAudit(seq: number, record: object): AuditLine {
  const field = reader(record);
  const unixMs = Date.parse(field.text('time')) || 0;
  return {
    seq: String(seq),
    when: timeText(unixMs),
    briefWhen: briefTimeText(unixMs),
    who: [field.inner('actor').text('name'), field.text('user')].find((name) => name !== '') ?? '',
    from: field.text('clientAddress'),
    what: [field.text('type'), whatOf(field)].filter((part) => part !== '').join(' '),
    targets: targetsOf(field),
    result: resultOf(field),
  };
}

/** Fields of an object of unknown shape. */
interface Reader {
  inner(name: string): Reader;
  text(name: string): string;
  texts(name: string): string[];
  number(name: string): number | undefined;
  flag(name: string): boolean;
}

function whatOf(field: Reader): string {
  const script = field.inner('script').text('sha256');
  if (script !== '') return script.slice(0, 12);
  const name = field.inner('hook').text('name') || field.inner('action').text('name');
  if (name !== '' || field.text('command') === '') return name;
  const words = [field.text('pattern'), field.text('command'), ...field.texts('args')];
  const filter = [
    ...field.texts('hosts').map((host) => `--host=${host}`),
    ...field.texts('labels').map((label) => `--label=${label}`),
  ];
  const command = shellQuote([...filter, ...words.filter((word, index) => index > 0 || word !== '')]);
  return field.flag('dryRun') ? `${command} (dry run)` : command;
}

function targetsOf(field: Reader): string {
  const targets = field.texts('targets');
  if (targets.length > mostTargets)
    return `${targets.slice(0, mostTargets).join(' ')} and ${targets.length - mostTargets} more`;
  if (targets.length > 0) return targets.join(' ');
  return [field.text('host'), field.text('stack')].filter((part) => part !== '').join(':');
}

/** A step's exit code and duration, or how a task or run ended. */
function resultOf(field: Reader): string {
  const step = [field.inner('hook'), field.inner('action')].find((inner) => inner.text('name') !== '');
  const exit = (step ?? field).number('exitCode');
  const took = (step ?? field).number('durationMs');
  return [
    field.text('outcome'),
    exit === undefined ? '' : `exit ${exit}`,
    took === undefined ? '' : formatDuration(took),
    field.text('reason'),
  ]
    .filter((part) => part !== '')
    .join(', ');
}

function reader(record: unknown): Reader {
  const fields = new Map<string, unknown>(
    typeof record === 'object' && record !== null ? Object.entries(record) : [],
  );
  return {
    inner: (name) => reader(fields.get(name)),
    text: (name) => textOf(fields.get(name)),
    texts: (name) => listOf(fields.get(name)).map(textOf),
    number: (name) => numberOf(fields.get(name)),
    flag: (name) => fields.get(name) === true,
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
