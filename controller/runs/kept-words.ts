import { argumentSecrets } from '../../common/redaction/argument-secrets.ts';
import { Masker } from '../../common/redaction/masker.ts';
import { mayHoldSecret } from '../../common/redaction/may-hold-secret.ts';
import { mark } from '../../common/redaction/secret-patterns.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { ResolvedTarget } from '../fleet/resolve-targets.ts';
import type { RunRequest } from './run-request.ts';

/** Gives a word of a request as it may be kept. */
export type KeptWord = (word: string) => string;

/** How long a host has to answer. */
const answerTimeoutMs = 3_000;

/**
 * Finds out how the words of a request may be kept: the hosts that it is for are asked which of them hold secrets, if
 * any word might, and a word is as secret as the most secretive host says. Where a host cannot answer, or not in time,
 * a word that might hold a secret is hidden whole. Nothing is kept of it, and nothing starts.
 */
export async function askKeptWords(
  request: Pick<RunRequest, 'args' | 'env' | 'network'>,
  targets: readonly ResolvedTarget[],
  fleet: Pick<Fleet, 'get'>,
  timeoutMs = answerTimeoutMs,
): Promise<KeptWord> {
  const { args, env, network } = request;
  const own = new Masker(argumentSecrets(request));
  const names = namesOf(targets, fleet);
  const all = new Set([...args, ...Object.values(env), ...(network === undefined ? [] : [network])]);
  const words = [...all].filter((word) => mayHoldSecret(word, names));
  const answers =
    words.length === 0 ? [] : await askHosts({ words, env, network }, targets, fleet, timeoutMs);
  const kept = new Map(
    words.map((word, at) => [
      word,
      combine(word, [own.maskText(word), ...answers.map((each) => each?.[at])]),
    ]),
  );
  return (word) => kept.get(word) ?? (names.has(word) ? word : own.maskText(word));
}

/** Words that are names to the run's hosts, and so no secrets. */
function namesOf(targets: readonly ResolvedTarget[], fleet: Pick<Fleet, 'get'>): Set<string> {
  const names = new Set<string>();
  for (const { host, stack } of targets) {
    const known = fleet.get(host)?.stacks?.find(({ name }) => name === stack);
    for (const name of [host, stack, ...(known?.services ?? [])]) names.add(name);
  }
  return names;
}

/** An answer a host; undefined of one that gave none. */
function askHosts(
  question: { readonly words: readonly string[] } & Pick<RunRequest, 'env' | 'network'>,
  targets: readonly ResolvedTarget[],
  fleet: Pick<Fleet, 'get'>,
  timeoutMs: number,
): Promise<(readonly string[] | undefined)[]> {
  const byHost = Map.groupBy(targets, ({ host }) => host);
  return Promise.all(
    Array.from(byHost, async ([host, its]) => {
      const stacks = its.map(({ stack }) => stack);
      const answer = fleet.get(host)?.session?.maskWords({ ...question, stacks }, timeoutMs);
      return answer?.catch(() => undefined);
    }),
  );
}

/** An answer that does anything but hide parts of the word hides all of it: no host decides what a record says. */
function maskingOf(word: string, answer: string | undefined): string | undefined {
  if (answer === undefined || answer === word) return answer;
  const [first = '', ...rest] = answer.split(mark);
  const last = rest.pop();
  if (last === undefined || !word.startsWith(first)) return mark;
  let at = first.length;
  for (const piece of rest) {
    const found = word.indexOf(piece, at);
    if (found < 0) return mark;
    at = found + piece.length;
  }
  return word.endsWith(last) && word.length - last.length >= at ? answer : mark;
}

/** Where two hide different parts of a word, all of it is hidden. */
function combine(word: string, answers: readonly (string | undefined)[]): string {
  const masked = new Set(answers.map((answer) => maskingOf(word, answer)).filter((each) => each !== word));
  const [only = mark] = masked;
  return masked.size === 0 ? word : masked.size === 1 ? only : mark;
}
