/*
 * What agents say, checked where it comes in: names are names, texts are short. Each check returns its argument, or
 * throws `protocol`, which ends the call.
 */
import { KomposeError } from '../../common/errors.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import { checkCommand, checkId, checkStackName } from '../../common/names.ts';
import { isPrintable } from '../../common/printable.ts';
import { isStdinKey } from '../../common/signing/stdin-marks.ts';
import type { StdinProgress } from '../../proto/gen/kompose/v1/event.ts';
import type { AgentHello, GaugesReply, LocalRun, TaskNews } from '../../proto/gen/kompose/v1/agent_link.ts';

const mostWords = 10_000;
const longestName = 255;

export function checkHello(hello: AgentHello): AgentHello {
  const { agentVersion, instanceId, capabilities, openTasks, rosterRoot } = hello;
  for (const word of [agentVersion, instanceId, rosterRoot, ...capabilities]) mustBeName(word);
  mustBeFew(openTasks);
  asProtocol(() => openTasks.forEach(checkId));
  return hello;
}

export function checkNews(news: TaskNews): TaskNews {
  asProtocol(() => checkId(news.taskId));
  return news;
}

/** A service or hook whose name is none is left out: it says something of a file on the host, not of its agent. */
export function checkStacks(stacks: readonly StackSummary[]): StackSummary[] {
  mustBeFew(stacks);
  return stacks.map((stack) => {
    asProtocol(() => checkStackName(stack.name));
    mustBeName(stack.composeFile);
    return { ...stack, hooks: onlyNames(stack.hooks), services: onlyNames(stack.services) };
  });
}

export function checkStatus(stacks: readonly StackStatus[]): StackStatus[] {
  mustBeFew(stacks);
  return stacks.map(({ name, servicesUp }) => ({ name, servicesUp: onlyNames(servicesUp) }));
}

export function checkLocalRun(run: LocalRun): LocalRun {
  const { runId, parentRunId, parentTaskId, targets, command, user, envNames, args } = run;
  asProtocol(() => {
    checkId(runId);
    for (const parent of [parentRunId, parentTaskId]) if (parent !== '') checkId(parent);
    for (const { taskId, stack } of targets) {
      checkId(taskId);
      checkStackName(stack);
    }
    checkCommand(command);
  });
  for (const word of [user, ...envNames]) mustBeName(word);
  for (const words of [targets, envNames, args]) mustBeFew(words);
  if (!Number.isSafeInteger(run.startedUnixMs) || Number.isNaN(new Date(run.startedUnixMs).getTime()))
    throw new KomposeError('protocol', 'the agent told of a time that is none');
  return run;
}

export function checkStdinProgress(progress: StdinProgress): StdinProgress {
  if (isStdinKey(progress.key)) return progress;
  throw new KomposeError('protocol', 'the agent told of a key for stdin that is none');
}

export function checkGauges({ gauges }: GaugesReply): Gauges {
  if (gauges?.loopDelay !== undefined) return { ...gauges, loopDelay: gauges.loopDelay };
  throw new KomposeError('protocol', 'the agent told nothing of itself');
}

function onlyNames(names: readonly string[]): string[] {
  return names.slice(0, mostWords).filter(isName);
}

function isName(word: string): boolean {
  return word.length <= longestName && isPrintable(word);
}

function mustBeName(word: string): void {
  if (!isName(word)) throw new KomposeError('protocol', 'the agent told of something whose name is none');
}

function mustBeFew(words: readonly unknown[]): void {
  if (words.length > mostWords)
    throw new KomposeError('protocol', `the agent told of ${words.length} things at once`);
}

function asProtocol(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new KomposeError('protocol', `the agent told of a ${KomposeError.from(error).message}`, {
      cause: error,
    });
  }
}
