/** A bound for memory; what is shown is cut once it is masked, so that no part of a secret stands at the cut. */
const longestLine = 64 * 1024;
const tellsError = /\b(?:error|fatal|panic|denied|failed|cannot|could not|no space left)\b/i;
/** What a connection's end makes every later line say. */
const isNoise = /^\s*(?:DETAIL|HINT|CONTEXT|LINE \d+|STATEMENT|NOTICE|WARNING)\b/;

/** Finds in a tool's stderr, as it comes, the line that tells why it failed: the first error, else the last line. */
export class FailureCause {
  #held = '';
  #first: string | undefined;
  #last: string | undefined;

  push(chunk: Uint8Array): void {
    const lines = (this.#held + Buffer.from(chunk).toString('utf8')).split(/[\r\n]+/);
    this.#held = (lines.pop() ?? '').slice(0, longestLine);
    for (const line of lines) this.#take(line);
  }

  /** Undefined if nothing was said. */
  get line(): string | undefined {
    this.#take(this.#held);
    this.#held = '';
    return this.#first ?? this.#last;
  }

  #take(raw: string): void {
    const line = raw.trim().slice(0, longestLine);
    if (line === '' || isNoise.test(line)) return;
    this.#last = line;
    if (tellsError.test(line)) this.#first ??= line;
  }
}
