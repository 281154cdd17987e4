import { Option } from 'commander';
import { parseDuration } from '../../common/durations.ts';
import { KomposeError } from '../../common/errors.ts';
import type { AuditRecord, PruneAuditResponse } from '../../proto/gen/kompose/v1/fleet.ts';
import { describeAudit, type AuditLine } from '../output/audit-line.ts';
import { say, type Call } from '../call.ts';
import type { Noun, VerbOptions } from '../noun.ts';
import { showFields } from '../fields.ts';
import { hostOption, parseCount, parseFingerprint, parseMoment, parseName, valued } from '../options.ts';
import { exportAudit } from './audit-export.ts';
import { verifyFile, verifyStore } from './audit-verify.ts';
import { jsonLine, printable } from '../../common/printable.ts';
import { limitOption, showRows, type Listing } from '../listing.ts';

export const audit: Noun = {
  name: 'audit',
  summary: 'The record of who did what.',
  verbs: [
    {
      name: 'ls',
      summary: 'list the records, oldest first; with --limit the newest',
      isDefault: true,
      options: () => [limitOption(), ...filterOptions()],
      run: async (call, _, options) => list(call, options),
    },
    {
      name: 'show',
      words: '<seq>',
      summary: 'all of one record; with --script the hook script that it tells of',
      options: () => [new Option('--script', 'print hooks.sh as it ran, its secrets masked')],
      run: (call, [text = ''], { script = false }) => {
        const seq = parseCount('SEQ', 1)(text);
        return script ? showScript(call, seq) : show(call, seq);
      },
    },
    {
      name: 'export',
      summary: 'all records, a line of JSON each, then a last line that proves them: the signed head',
      options: () => [
        ...timeOptions(),
        new Option('--format <how>', 'jsonl; cef for log collectors, which proves nothing').choices([
          'jsonl',
          'cef',
        ]),
      ],
      run: (call, _, { since, until, format }) => exportAudit(call, { since, until }, format === 'cef'),
    },
    {
      name: 'prune',
      summary: 'remove old records, behind a signed stub that says so (admin)',
      options: () => [
        valued('--older-than <duration>', 'than this: 90d, …', parseDuration).makeOptionMandatory(),
      ],
      run: (call, _, { olderThan = Infinity }) => prune(call, olderThan),
    },
    {
      name: 'verify',
      words: '[file]',
      summary: 'is every record as it was written? 1, and the first that is not; FILE: an export, - is stdin',
      options: () => [
        valued(
          '--key <fingerprint>',
          "trust this audit key rather than this login's",
          parseFingerprint('--key'),
        ),
      ],
      run: (call, [file], { key }) =>
        file === undefined ? verifyStore(call, key) : verifyFile(call, file, key),
    },
  ],
};

function filterOptions(): Option[] {
  const words = {
    user: 'of this user or host',
    stack: 'about this stack',
    command: 'of this command',
    outcome: 'that ended so: succeeded, failed, …',
    type: 'of this type: run.started, hook.finished, user.login, …',
    hook: 'of this hook: hook_pre_up, …',
  };
  return [
    ...timeOptions(),
    hostOption(),
    ...Object.entries(words).map(([name, summary]) =>
      valued(`--${name} <glob>`, summary, parseName(`--${name}`)),
    ),
    valued('--run <id>', 'of this run: its id, or the beginning of it', parseName('--run')),
  ];
}

function timeOptions(): Option[] {
  return [
    valued('--since <when>', 'from a time on, or from so long ago (2h)', parseMoment('--since')),
    valued('--until <when>', 'up to a time, or so long ago', parseMoment('--until')),
  ];
}

async function list(call: Call, options: VerbOptions): Promise<number> {
  const { limit = 0, since = 0, until = 0, host = [], user = '', stack = '', command = '' } = options;
  const { outcome = '', type = '', hook = '', run = '' } = options;
  const times = { sinceUnixMs: since, untilUnixMs: until };
  const filter = { ...times, hosts: [...host], user, stack, command, outcome, type, hook, run };
  using fleet = await call.connect();
  return await showRows(call, auditListing, parsed(fleet.read(fleet.client.listAudit({ limit, filter }))));
}

async function prune(call: Call, olderThan: number): Promise<number> {
  using fleet = await call.connect();
  const request = { beforeUnixMs: Date.now() - olderThan };
  const { removed, upTo } = await fleet.ask<PruneAuditResponse>((answer) =>
    fleet.client.pruneAudit(request, answer),
  );
  say(call, removed === 0 ? 'no record is that old' : `${removed} records are removed, up to ${upTo}`);
  return 0;
}

/** Byte for byte, so that its SHA-256 is that of the record; on a terminal nothing of it moves the cursor. */
async function showScript(call: Call, seq: number): Promise<number> {
  const { script } = await getRecord(call, seq, true);
  const { globals, terminal } = call;
  const shown = terminal.isStdoutTerminal ? script.split('\n').map(printable).join('\n') : script;
  terminal.stdout(globals.output === 'json' ? `${jsonLine({ seq, script })}\n` : shown);
  return 0;
}

async function getRecord(call: Call, seq: number, withScript: boolean): Promise<AuditRecord> {
  using fleet = await call.connect();
  return await fleet.ask<AuditRecord>((answer) => fleet.client.getAudit({ seq, withScript }, answer));
}

async function show(call: Call, seq: number): Promise<number> {
  const { record } = parse(await getRecord(call, seq, false));
  const fields = Object.entries(record).map(([name, value]): [string, string] => {
    return [name, typeof value === 'string' ? value : JSON.stringify(value)];
  });
  return showFields(call, record, fields);
}

interface Parsed {
  readonly record: object;
  readonly line: AuditLine;
}

async function* parsed(records: AsyncIterable<AuditRecord>): AsyncGenerator<Parsed> {
  for await (const record of records) yield parse(record);
}

function parse({ seq, json }: AuditRecord): Parsed {
  const record: unknown = JSON.parse(json);
  if (typeof record !== 'object' || record === null) {
    throw new KomposeError(
      'protocol',
      `the controller sent record ${seq} in a form that this version does not know`,
    );
  }
  return { record, line: describeAudit(seq, record) };
}

const auditListing: Listing<Parsed> = {
  nothing: 'no records',
  columns: [
    { title: 'SEQ', text: ({ line }) => line.seq },
    { title: 'WHEN', text: ({ line }) => line.when, narrow: ({ line }) => line.briefWhen },
    { title: 'WHO', text: ({ line }) => line.who },
    { title: 'FROM', text: ({ line }) => line.from, narrow: 'dropped' },
    { title: 'WHAT', text: ({ line }) => line.what, wraps: true },
    { title: 'TARGETS', text: ({ line }) => line.targets, wraps: true },
    { title: 'RESULT', text: ({ line }) => line.result, wraps: true },
  ],
  json: ({ record }) => record,
};
