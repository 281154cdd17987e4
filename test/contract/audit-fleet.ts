import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/** What `audit verify -o json` says, and its exit code. */
export interface Verdict {
  readonly code: number;
  readonly whole: boolean;
  readonly first?: number;
  readonly seq?: number;
  readonly problem?: string;
}

/** A host with one stack that has a hook, and one run in the audit; a program in docker's place is enough. */
export class AuditFleet {
  readonly stub: StubFleet;
  /** Goes with the fleet. */
  readonly scratch: string;

  private constructor(stub: StubFleet, scratch: string) {
    this.stub = stub;
    this.scratch = scratch;
  }

  static async start(): Promise<AuditFleet> {
    const scratch = await mkdtemp(join(tmpdir(), 'kompose-audit-'));
    const fleet = new AuditFleet(await StubFleet.start('prod-1'), scratch);
    await fleet.stub.writeStack('prod-1', 'sexy', { 'hooks.sh': hooks });
    await fleet.stub.untilKnown('prod-1:sexy');
    await fleet.stub.must('sexy', 'up', '-d');
    return fleet;
  }

  async stop(): Promise<void> {
    await this.stub.stop();
    await rm(this.scratch, { recursive: true });
  }

  /** The lines of an export. */
  async exported(...options: string[]): Promise<string[]> {
    const text = await this.stub.must('audit', 'export', ...options);
    assert.ok(text.endsWith('\n'));
    return text.slice(0, -1).split('\n');
  }

  /** `audit verify`, of the live store or with the words given; `home` is whose login counts. */
  async verify(words: readonly string[] = [], home = 'admin'): Promise<Verdict> {
    const { code, stdout, stderr } = await this.stub.run(home, ['-o', 'json', 'audit', 'verify', ...words]);
    assert.notEqual(stdout, '', stderr);
    return { code, ...(JSON.parse(stdout) as Omit<Verdict, 'code'>) };
  }

  /** `audit verify FILE` of an export of these lines. */
  async verifyLines(text: readonly string[]): Promise<Verdict> {
    const file = join(this.scratch, 'export.jsonl');
    await writeFile(file, text.map((line) => `${line}\n`).join(''));
    return this.verify([file]);
  }
}

/** Of the stack `sexy`. */
export const hooks = `hook_pre_up() { echo "hook at work"; }\n`;

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
