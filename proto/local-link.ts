import { checkTerminal, type ClientTerminal, type TerminalSize } from '../common/client-terminal.ts';
import { isDatabaseCommand, parseDatabaseCommand } from '../common/database-command.ts';
import { isErrorCode, KomposeError } from '../common/errors.ts';
import type { HostOrder } from '../common/host-order.ts';
import { checkCommand, checkEnvAssignment, isId } from '../common/names.ts';
import { hostFilter, parsePattern } from '../common/patterns.ts';

/*
 * What `kompose.sh` and the agent of its host say to each other over the agent's socket: frames of one byte that says
 * what it is, four bytes of length (big endian), and the payload.
 *
 * The caller asks once (`request`, first of all), then gives its stdin, never more than a window ahead of what `taken`
 * tells, tells of its terminal's sizes, and may `cancel`. The agent answers with the run's events, or `failed` in place
 * of all of them, and closes the connection after the last. Both are the same installation: a version that differs is
 * refused.
 *
 * A hook's caller whose agent has ended may `resume` its run at the next one, in place of the request: it gets the tasks'
 * events after those that it has, and the run's end.
 */
export type LocalFrame =
  | { readonly kind: 'request'; readonly value: LocalRequest }
  | { readonly kind: 'resume'; readonly value: Resumption }
  | { readonly kind: 'stdin'; readonly value: Uint8Array }
  | { readonly kind: 'stdin-end' }
  | { readonly kind: 'resize'; readonly value: TerminalSize }
  | { readonly kind: 'cancel' }
  /** As `encodeRunEvent` and `wrapTaskEvent` make them. */
  | { readonly kind: 'event'; readonly value: Uint8Array }
  /** How many bytes of stdin the action has: the first word of this asks for it. */
  | { readonly kind: 'taken'; readonly value: number }
  | { readonly kind: 'failed'; readonly value: KomposeError };

/** What is asked of this host, by whom. */
export interface LocalRequest extends HostOrder {
  /** Who typed it; a hook's is its task's user. */
  readonly user: string;
  /** The task whose hook asks. */
  readonly parentTask: string | undefined;
  /** Values of secret variables around the caller, such as a hook has exported just now: only to be hidden. */
  readonly secrets: readonly string[];
  /** The caller has a stdin to give, if it is one target and the command reads it. */
  readonly hasStdin: boolean;
  readonly terminal: ClientTerminal | undefined;
}

/** What a caller has of a run that it was following. */
export interface Resumption {
  readonly run: string;
  /** By the places of the tasks: the number of the last event. */
  readonly seen: readonly number[];
}

const version = 4;
const kinds = [
  'request',
  'stdin',
  'stdin-end',
  'resize',
  'cancel',
  'event',
  'taken',
  'failed',
  'resume',
] as const;
const headerBytes = 5;
/** The longest command line that a kernel takes, in JSON, and an event with 64 KiB of output. */
const maxPayloadBytes = 8 * 1024 * 1024;

export function encodeFrame(frame: LocalFrame): Uint8Array {
  const payload = payloadOf(frame);
  const bytes = Buffer.alloc(headerBytes + payload.length);
  bytes.writeUInt8(kinds.indexOf(frame.kind) + 1);
  bytes.writeUInt32BE(payload.length, 1);
  bytes.set(payload, headerBytes);
  return bytes;
}

function payloadOf(frame: LocalFrame): Uint8Array {
  switch (frame.kind) {
    case 'stdin':
    case 'event':
      return frame.value;
    case 'request':
    case 'resume':
      return Buffer.from(JSON.stringify({ ...frame.value, version }));
    case 'failed':
      return Buffer.from(JSON.stringify({ code: frame.value.code, message: frame.value.message }));
    case 'resize':
    case 'taken':
      return Buffer.from(JSON.stringify(frame.value));
    case 'stdin-end':
    case 'cancel':
      return new Uint8Array();
  }
}

/** The frames of a stream of bytes, however it is cut. Throws `protocol` for what is none, `usage` for a bad request. */
export async function* decodeFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<LocalFrame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= headerBytes) {
      const length = rest.readUInt32BE(1);
      if (length > maxPayloadBytes) throw foreign();
      if (rest.length < headerBytes + length) break;
      yield toFrame(rest.readUInt8(), rest.subarray(headerBytes, headerBytes + length));
      rest = rest.subarray(headerBytes + length);
    }
  }
}

function toFrame(code: number, payload: Buffer): LocalFrame {
  const kind = kinds[code - 1];
  if (kind === undefined) throw foreign();
  switch (kind) {
    case 'stdin':
    case 'event':
      return { kind, value: payload };
    case 'stdin-end':
    case 'cancel':
      return { kind };
    case 'request':
      return { kind, value: checkedRequest(parsed(payload)) };
    case 'resume':
      return { kind, value: checkedResumption(parsed(payload)) };
    case 'resize':
      return { kind, value: parsed(payload) as TerminalSize };
    case 'taken':
      return { kind, value: parsed(payload) as number };
    case 'failed': {
      const { code: word, message } = parsed(payload) as { code: string; message: string };
      return { kind, value: new KomposeError(isErrorCode(word) ? word : 'failed', message) };
    }
  }
}

function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw foreign(error);
  }
}

function checkedResumption(value: unknown): Resumption {
  const { version: spoken, run, seen } = value as Resumption & { version: number };
  if (spoken !== version || !isId(run) || !Array.isArray(seen)) throw foreign();
  if (!seen.every((each) => Number.isSafeInteger(each))) throw foreign();
  return { run, seen };
}

function checkedRequest(value: unknown): LocalRequest {
  const { version: spoken, ...request } = value as LocalRequest & { version: number };
  if (spoken !== version) throw foreign();
  const { pattern, hosts, command, args, env, terminal } = request;
  parsePattern(pattern);
  hostFilter(hosts);
  checkCommand(command);
  if (isDatabaseCommand(command)) parseDatabaseCommand(command, args);
  for (const [name, setting] of Object.entries(env)) checkEnvAssignment(`${name}=${setting}`);
  return { ...request, terminal: terminal === undefined ? undefined : checkTerminal(terminal) };
}

function foreign(cause?: unknown): KomposeError {
  const message = 'kompose.sh and the agent of this host are of different versions: restart the agent';
  return new KomposeError('protocol', message, { cause });
}
