import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as fc from 'fast-check';
import { problemOf } from '../../agent/database/check-dump.ts';
import { parseEnvFile } from '../../agent/stacks/env-file.ts';
import { parseExports } from '../../agent/tasks/hook-wrapper.ts';
import { parseNoun } from '../../cli/noun.ts';
import { nouns } from '../../cli/nouns.ts';
import { LineBuffer } from '../../cli/output/line-buffer.ts';
import { shellQuote } from '../../cli/output/shell-quote.ts';
import { harmless, plainText } from '../../cli/output/terminal-text.ts';
import { parseArguments } from '../../cli/program.ts';
import { recordLine, recordText } from '../../common/audit/chain.ts';
import { linesOf, verifyChain } from '../../common/audit/verify-chain.ts';
import { parseDatabaseCommand } from '../../common/database-command.ts';
import { parseDuration } from '../../common/durations.ts';
import { KomposeError } from '../../common/errors.ts';
import { LogSegment } from '../../common/log-segment.ts';
import { checkEnvAssignment, checkLabel, checkStackName } from '../../common/names.ts';
import { compileGlob, hostFilter, labelFilter, matchesTarget, parsePattern } from '../../common/patterns.ts';
import { joinEntry, rootEntry } from '../../common/roster/entry.ts';
import { Roster } from '../../common/roster/roster.ts';
import { parseRuleSet } from '../../common/rules/rule-set.ts';
import { parseVariableList } from '../../common/rules/variable-list.ts';
import { openOrder, seal } from '../../common/signing/order.ts';
import { rosterText } from '../../common/signing/signed-text.ts';
import { signingKeyOfSeed, signText } from '../../common/signing/signing-key.ts';
import { parseSize } from '../../common/sizes.ts';
import { decodeRunEvent, decodeTaskEvent, encodeTaskEvent, wrapTaskEvent } from '../../proto/event-codec.ts';
import { formatToken, parseToken } from '../../proto/enrolment-token.ts';
import * as agentLink from '../../proto/gen/kompose/v1/agent_link.ts';
import * as audit from '../../proto/gen/kompose/v1/audit.ts';
import * as enrolment from '../../proto/gen/kompose/v1/enrolment.ts';
import * as events from '../../proto/gen/kompose/v1/event.ts';
import * as fleet from '../../proto/gen/kompose/v1/fleet.ts';
import * as signing from '../../proto/gen/kompose/v1/signing.ts';
import { decodeOrder, encodeOrder } from '../../proto/order-codec.ts';
import { hostileBytes, hostileText } from './hostile.ts';

/** Something that reads what may come from an enemy. */
export interface FuzzTarget {
  readonly name: string;
  readonly inputs: fc.Arbitrary<unknown>;
  /** Throws for an input only what the code may throw; anything else is a finding. */
  readonly take: (input: unknown) => Promise<void> | void;
}

const longName = 'ab'.repeat(127);
const key = signingKeyOfSeed(Buffer.alloc(32));
const root = rootEntry('ada', key);
const joined = joinEntry('bob', key.publicKey, key);
const noLookups = { wins: () => undefined, falls: () => undefined };

export const fuzzTargets: readonly FuzzTarget[] = [
  text('patterns', ['prod-*:{sexy,n[e-f]ws}', '*,!*:proxy', 'a?c:[!x]*{a,{b,c}}'], (input) => {
    const pattern = parsePattern(input);
    matchesTarget(pattern, { host: longName, stack: longName });
  }),
  text('globs', ['{a,b}*[!c-d]?', '**a**b**c**'], (input) => void compileGlob(input)(longName)),
  text('--host', ['prod-*,!prod-9', 'a,b'], (input) => void hostFilter([input])(longName)),
  text('--label', ['env=prod', 'env!=prod', 'env'], (input) => void labelFilter([input])({ env: 'prod' })),
  text('labels', ['env=prod'], checkLabel),
  text('names of stacks', ['sexy', '..', '../x', '．．'], checkStackName),
  text('-e', ['A=b', 'TAG='], checkEnvAssignment),
  text('durations', ['500ms', '1m30s', '1d', '2.5h'], parseDuration),
  text('sizes', ['64MiB', '1000'], (input) => parseSize(input, 'it')),
  text(
    '.env files and expansion',
    ['A=1\nexport B="x ${A:-y} $A" # c\nC=\'$A\'\n', 'A=${B:-${C:-${D:+e}}}', 'X: y\nZ="a\\n\nb"'],
    (input) => parseEnvFile(input, noLookups, '.env'),
  ),
  text(
    'roles and policies',
    ['allow prod-*:* @read,!logs env=prod\ndeny *:proxy *\nenv *,!PATH # c\n', 'read-only\nallow * ps'],
    (input) => {
      const request = { command: 'run', args: ['-v', '/:/x'], envNames: ['PATH'] };
      for (const kind of ['role', 'host'] as const)
        parseRuleSet(input, { of: kind }).decide(request, { host: longName, stack: longName, labels: {} });
    },
  ),
  text('lists of variables', ['*,!PATH', 'TAG,LD_*'], (input) => void parseVariableList(input)('LD_PRELOAD')),
  text(
    'tokens',
    [
      formatToken({
        addresses: ['a:1', '[::1]:2'],
        caFingerprint: 'ab'.repeat(32),
        seed: 'x'.repeat(22),
        root: 'ab'.repeat(32),
        user: 'ada',
      }),
    ],
    parseToken,
  ),
  text(
    'entries of the roster',
    [root, joined].map(({ body }) => body),
    (input) => {
      const signature = signText(key, rosterText(input)).toString('base64');
      for (const before of [[], [root]]) Roster.empty.extend([...before, { body: input, signature }]);
    },
  ),
  text('db: commands', ['--format sql.gz', 'x.sql --in-place', '--keep 3'], (input) => {
    for (const command of ['db:export', 'db:import', 'db:cleanup'])
      parseDatabaseCommand(command, input.split(' '));
  }),
  text(
    'command lines',
    [
      '-H prod-1 -e A=b --timeout 3s * up -d',
      '--batch 10% --offline wait=3s * ps',
      '--list a:b',
      'runs show X',
    ],
    (input) => void parseArguments(input.split(' '), '1'),
  ),
  text(
    'command lines of nouns',
    ['ls --limit 3', 'show X -o json', 'create --role agent --ttl 1h'],
    async (input) => {
      for (const { load } of Object.values(nouns)) {
        if (load === undefined) continue;
        await only(async () => void parseNoun(await load(), input.split(' '), { color: true }));
      }
    },
  ),
  text('exports of hooks', ['A=1\0B=x y\0', '=\0==\0'], parseExports),
  text('output on a terminal', ['\u001b[31mred\u001b[0m \u001b]0;x\u0007', '\u001b]\u001b['], (input) => {
    harmless(input);
    plainText(Buffer.from(input));
    shellQuote([input]);
    new LineBuffer().push(Buffer.from(input));
  }),
  bytes('ends of dumps', [Buffer.from('--\n-- PostgreSQL database dump\n')], (input) => {
    problemOf({ head: Buffer.from(input).toString(), tail: Buffer.from(input).toString() });
  }),
  bytes('exports of the audit', [anExport()], async (input) => {
    const trust = { fingerprint: '', seen: undefined, isLive: true };
    await verifyChain(linesOf(onePiece(input)), trust);
  }),
  bytes('logs of runs', [aLog()], async (input) => {
    const folder = mkdtempSync(join(tmpdir(), 'kompose-fuzz-'));
    try {
      await readLog(join(folder, 'log'), input);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }),
  bytes('events of tasks', [aTaskEvent()], (input) => void decodeTaskEvent(input)),
  bytes('events of runs', [wrapTaskEvent(1, 1, 1, aTaskEvent())], (input) => void decodeRunEvent(input)),
  bytes('what was signed', [anOrder()], (input) => {
    const order = decodeOrder(input);
    openOrder(order, { env: [], network: undefined });
  }),
  ...messageTargets({ ...agentLink, ...audit, ...enrolment, ...events, ...fleet, ...signing }),
];

function text(name: string, seeds: readonly string[], take: (input: string) => unknown): FuzzTarget {
  return {
    name,
    inputs: hostileText(seeds),
    take: (input) => only(async () => void (await take(input as string))),
  };
}

function bytes(
  name: string,
  seeds: readonly Uint8Array[],
  take: (input: Uint8Array) => Promise<void> | void,
): FuzzTarget {
  return { name, inputs: hostileBytes(seeds), take: (input) => only(async () => take(input as Uint8Array)) };
}

/** What is thrown must be an error that a user can be told of. */
async function only(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof KomposeError) || error.code === 'internal') throw error;
  }
}

/** A decoder may refuse its bytes as it likes, with an error: gRPC answers that. */
function whatever(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof Error) || /call stack/.test(error.message)) throw error;
  }
}

interface Codec {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => { finish(): Uint8Array };
}

function messageTargets(generated: Readonly<Record<string, unknown>>): FuzzTarget[] {
  return Object.entries(generated).flatMap(([name, value]) => {
    if (!isCodec(value)) return [];
    const seeds = [
      value.encode(value.decode(Buffer.alloc(0))).finish(),
      Buffer.from([10, 2, 10, 0, 18, 1, 65, 24, 5]),
    ];
    return [bytes(name, seeds, (input) => whatever(() => value.encode(value.decode(input)).finish()))];
  });
}

function isCodec(value: unknown): value is Codec {
  return typeof value === 'object' && value !== null && 'decode' in value && 'encode' in value;
}

async function* onePiece(input: Uint8Array): AsyncGenerator<Uint8Array> {
  yield input;
}

function anExport(): Buffer {
  const record = recordText(
    { seq: 0, hash: '0'.repeat(64) },
    { type: 'run.started', time: '2026-01-01T00:00:00.000Z' },
  );
  const head = {
    type: 'audit.head',
    seq: 1,
    hash: 'ab'.repeat(32),
    time: '2026-01-01T00:00:00.000Z',
    count: 1,
  };
  return Buffer.from(
    `${recordLine({ record, hash: 'ab'.repeat(32) })}\n${JSON.stringify({ ...head, key: 'x' })}\n`,
  );
}

function anOrder(): Uint8Array {
  return encodeOrder({
    key: key.publicKey,
    runId: '01J00000000000000000000000',
    pattern: '*',
    command: 'up',
    args: ['-d'],
    env: [seal({ name: 'A', value: 'b', salt: Buffer.alloc(16) })],
    network: undefined,
    timeoutMs: 1,
    dryRun: false,
    raw: false,
    stdinKey: Buffer.alloc(32),
    term: '',
    signedUnixMs: 1,
    notAfterUnixMs: 2,
  });
}

function aTaskEvent(): Uint8Array {
  const event = { type: 'notice', text: 'x', outputAt: { stdout: 1, stderr: 2 } } as const;
  return encodeTaskEvent({ seq: 1, timeMs: 1, event });
}

/** As LogSegment writes it: length, number, strand. */
function aLog(): Buffer {
  const header = Buffer.alloc(14);
  header.writeUInt32LE(3);
  header.writeUIntLE(1, 4, 6);
  return Buffer.concat([header, Buffer.from('abc'), header, Buffer.from('def')]);
}

async function readLog(path: string, input: Uint8Array): Promise<void> {
  writeFileSync(path, input);
  const log = LogSegment.open(path);
  await log.read(0);
  log.close();
}
