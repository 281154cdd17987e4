import { open } from 'node:fs/promises';
import { StepLost } from '../tasks/kept-step.ts';
import type { Dump } from '../../common/task-event.ts';
import { sizeText } from '../../common/size-text.ts';
import type { ActionContext, ActionEnd } from './action.ts';
import { describeFailure } from './disk-failure.ts';
import type { ExportStep } from './database.ts';
import { isFinishedDump } from './check-dump.ts';
import { flushEarly } from './early-flush.ts';
import { beginDump, removeLeftovers, reopenDump, type NewDump } from './dump-folder.ts';
import { FollowingHash } from './following-hash.ts';
import type { Digest } from './hash-order.ts';
import { tellProgress } from './progress.ts';
import { endInside, failureText, runTool } from './run-tool.ts';
import { toolEnv } from './tools.ts';
import { noteUnfinished, readUnfinished } from './unfinished.ts';

/**
 * Dumps a database: pg_dump writes into the file itself, and it gets its name when it is complete and on the disk.
 * A dump that fails, or that the task's stop ends, leaves nothing. One that an earlier process of the agent began is
 * gone on with. Throws `StepLost`.
 */
export async function exportDatabase(step: ExportStep, context: ActionContext): Promise<ActionEnd> {
  try {
    if (context.keep?.isAdopted === true) return await goOn(step, context);
    await removeLeftovers(context.folder, step.database.name);
    const dump = await beginDump(step.path, step.database.name, step.format);
    const { partial, path } = dump;
    try {
      await noteUnfinished({ ...step, partial, path }, context);
      return await writeDump(step, dump, context);
    } finally {
      await dump.discard();
    }
  } catch (error) {
    if (error instanceof StepLost) throw error;
    return { exitCode: 1, error: describeFailure(error, 'the dump cannot be written') };
  }
}

async function goOn(step: ExportStep, context: ActionContext): Promise<ActionEnd> {
  const { partial, path } = (await readUnfinished(context.workFolder)) ?? {};
  if (partial === undefined || path === undefined) throw new StepLost('nobody knows where its dump stands');
  const dump = await reopenDump(partial, path);
  if (dump === undefined) return finishKept(path, context);
  try {
    return await writeDump(step, dump, context);
  } finally {
    await dump.discard();
  }
}

/** pg_dump has ended, and the dump has got its name or is discarded. */
async function finishKept(path: string, context: ActionContext): Promise<ActionEnd> {
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return { exitCode: 1, error: 'pg_dump failed while the agent was being ended' };
  try {
    await using hash = new FollowingHash(handle, 'close');
    return tellKept(path, await hash.finish(), context);
  } finally {
    await handle.close();
  }
}

async function writeDump(step: ExportStep, dump: NewDump, context: ActionContext): Promise<ActionEnd> {
  const { handle, path } = dump;
  await using hash = new FollowingHash(handle, 'close');
  const endFlushing = flushEarly(handle);
  const position = async () => ({ bytes: (await handle.stat()).size });
  const endProgress = tellProgress('dumped', position, context.notice, context.now);
  const env = toolEnv(step.database, step.mark, context.env);
  const end = await runTool({ argv: step.argv, env, files: { stdout: handle.fd } }, context).finally(
    endProgress,
  );
  const [digest] = await Promise.all([hash.finish(), endFlushing()]);
  if (context.stop.cause !== undefined) {
    await endInside(step.database, step.mark, env, context);
    return { exitCode: end.exitCode };
  }
  if (end.exitCode !== 0) return { exitCode: end.exitCode, error: failureText('pg_dump', end, context) };
  if (step.format === 'sql' && !(await isFinishedDump(handle))) {
    return { exitCode: 1, error: 'pg_dump ended with 0, but its dump has no end' };
  }
  await dump.keep();
  return tellKept(path, digest, context);
}

function tellKept(path: string, digest: Digest, context: ActionContext): ActionEnd {
  context.print(path);
  context.notice(summary({ path, ...digest }, context.now() - context.startedMs));
  return { exitCode: 0, stands: true, dump: { path, ...digest }, paths: [path] };
}

function summary({ sizeBytes, sha256 }: Dump, durationMs: number): string {
  const rate = sizeText((sizeBytes * 1000) / Math.max(1, durationMs));
  return `dumped ${sizeText(sizeBytes)}, ${rate}/s, SHA-256 ${sha256}`;
}
