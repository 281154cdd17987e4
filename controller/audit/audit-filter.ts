import { compileGlob, hostFilter } from '../../common/patterns.ts';

/** Which records are asked for; empty texts and lists and 0 mean any. All but the times and `run` are globs. */
export interface AuditFilter {
  readonly sinceUnixMs: number;
  readonly untilUnixMs: number;
  /** As --host has them. */
  readonly hosts: readonly string[];
  readonly user: string;
  readonly stack: string;
  readonly command: string;
  readonly outcome: string;
  readonly type: string;
  readonly hook: string;
  /** A run's id, or its beginning. */
  readonly run: string;
}

/** As far as a filter looks. */
interface Fields {
  readonly type?: string;
  readonly time?: string;
  readonly actor?: { readonly name?: string };
  readonly host?: string;
  readonly stack?: string;
  /** `host:stack`, of a run's beginning. */
  readonly targets?: readonly string[];
  readonly command?: string;
  readonly outcome?: string;
  readonly hook?: { readonly name?: string };
  readonly run?: string;
}

type Test = (record: Fields) => boolean;

/** The test of a record's JSON; undefined for a filter that all pass. Throws `usage` for a bad glob. Pure. */
export function auditTest(filter: AuditFilter): ((record: string) => boolean) | undefined {
  const tests = [...timeTests(filter), ...placeTests(filter), ...wordTests(filter)];
  if (tests.length === 0) return undefined;
  return (text) => {
    const record = JSON.parse(text) as Fields;
    return tests.every((test) => test(record));
  };
}

function timeTests({ sinceUnixMs, untilUnixMs }: AuditFilter): Test[] {
  const from = new Date(sinceUnixMs).toISOString();
  const to = new Date(untilUnixMs).toISOString();
  return [
    ...(sinceUnixMs === 0 ? [] : [({ time = '' }: Fields) => time >= from]),
    ...(untilUnixMs === 0 ? [] : [({ time = '' }: Fields) => time <= to]),
  ];
}

/** The beginning of a run is about all its targets. */
function placeTests({ hosts, stack }: AuditFilter): Test[] {
  if (hosts.length === 0 && stack === '') return [];
  const isHost = hosts.length === 0 ? () => true : hostFilter(hosts);
  const isStack = stack === '' ? () => true : compileGlob(stack);
  return [
    (record) => {
      const targets = record.targets ?? [`${record.host ?? ''}:${record.stack ?? ''}`];
      return targets.some((target) => {
        const at = target.indexOf(':');
        const isSomewhere = target !== ':' && (stack === '' || at + 1 < target.length);
        return isSomewhere && isHost(target.slice(0, at)) && isStack(target.slice(at + 1));
      });
    },
  ];
}

function wordTests({ user, command, outcome, type, hook, run }: AuditFilter): Test[] {
  const word = (glob: string, of: (record: Fields) => string | undefined): Test[] => {
    if (glob === '') return [];
    const matches = compileGlob(glob);
    return [(record) => matches(of(record) ?? '')];
  };
  return [
    ...word(user, ({ actor }) => actor?.name),
    ...word(command, (record) => record.command),
    ...word(outcome, (record) => record.outcome),
    ...word(type, (record) => record.type),
    ...word(hook, (record) => record.hook?.name),
    ...(run === '' ? [] : [(record: Fields) => record.run?.startsWith(run.toUpperCase()) ?? false]),
  ];
}
