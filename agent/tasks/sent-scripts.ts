import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { scriptSecrets } from '../../common/redaction/script-secrets.ts';
import { Masker } from '../../common/redaction/masker.ts';
import type { HookScript } from '../../common/task-event.ts';
import type { ParsedHooks } from '../stacks/hooks-file.ts';

/** Of a longer one the beginning is kept. */
const maxTextBytes = 256 * 1024;

/** A hooks.sh as a step runs it. */
export interface RanScript {
  /** Lower-case hex. */
  readonly sha256: string;
  /** Absent if it could not be read. */
  readonly bytes?: Uint8Array;
}

/** Read at the step itself: a hook before it may have changed the file. */
export async function readScript(hooks: ParsedHooks): Promise<RanScript> {
  return asRan(await readFile(hooks.path).catch(() => undefined), hooks);
}

/** Where it could not be read, it is the one that was parsed. */
export function asRan(bytes: Uint8Array | undefined, { sha256 }: ParsedHooks): RanScript {
  return bytes === undefined ? { sha256 } : { bytes, sha256: digest(bytes) };
}

/**
 * The hook scripts whose masked text is on its way to the controller, so that each goes once a link: what is in a spool
 * arrives.
 */
export class SentScripts {
  /** Digests of texts: what is to be hidden in one file differs from stack to stack. */
  readonly #sent = new Set<string>();

  /** What to tell of a script with the end of the step that ran it; `masker` knows the task's secrets. */
  tell({ bytes }: RanScript, masker: Masker): HookScript | undefined {
    if (bytes === undefined) return undefined;
    const text = maskedText(bytes, masker);
    const textSha256 = digest(text);
    if (this.#sent.has(textSha256)) return { textSha256 };
    this.#sent.add(textSha256);
    return { textSha256, text };
  }

  /** A new link may be one to a controller that lacks them. */
  forget(): void {
    this.#sent.clear();
  }
}

function maskedText(bytes: Uint8Array, masker: Masker): string {
  const whole = Buffer.from(bytes).toString('utf8');
  const masked = new Masker(scriptSecrets(whole)).maskText(masker.maskText(whole));
  const text = Buffer.from(masked);
  if (text.length <= maxTextBytes) return masked;
  const rest = text.length - maxTextBytes;
  return `${text.subarray(0, maxTextBytes).toString('utf8')}\n# kompose: ${rest} more bytes are not kept\n`;
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
