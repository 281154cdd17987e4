import type { ClientTerminal } from '../../common/client-terminal.ts';
import { readsClientStdin } from '../../common/client-stdin.ts';
import type { OfflinePolicy, RolloutOptions } from '../../common/rollout.ts';
import type { SignedPart } from '../fleet/host-session.ts';
import type { RunRequestsTable, RunsTable, TasksTable } from '../store/schema.ts';
import { isKeptWhole, keptValues, type KeptRequest } from './kept-request.ts';
import type { SignedRequest } from './signed-run.ts';

/** What a run goes by, of what its user asked for: the same whether this process began it or an earlier one. */
export interface RunTerms {
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
  readonly detach: boolean;
  /** As rights are checked; after a restart as they are kept. */
  readonly args: readonly string[];
  readonly envNames: readonly string[];
  readonly terminal: ClientTerminal | undefined;
  /** The one target's action reads what this client gives. */
  readonly hasStdin: boolean;
  /** Of a task; undefined where its user did not sign it, or where it went with an earlier process. */
  readonly signedPart: (task: string) => SignedPart | undefined;
  /** Why a part went. */
  readonly whyGone: string;
}

/** Of a run that begins. Pure. */
export function newTerms(request: SignedRequest, targetCount: number): RunTerms {
  const { rollout, offline, detach, args, env, terminal, signed } = request;
  const signedPart = (task: string): SignedPart | undefined => {
    const { order, values } = signed;
    const signature = signed.signatures.get(task);
    return signature === undefined ? undefined : { order, signature, values };
  };
  return {
    rollout,
    offline,
    detach,
    args,
    terminal,
    signedPart,
    envNames: Object.keys(env).toSorted(),
    hasStdin: readsClientStdin(request, targetCount),
    whyGone: '',
  };
}

const restarted = 'the controller was restarted before this task was started';

/** Of a run that an earlier process of the controller began. Pure. */
export function keptTerms(
  run: Pick<RunsTable, 'args'>,
  request: RunRequestsTable,
  tasks: readonly Pick<TasksTable, 'id' | 'signature' | 'sealed'>[],
): RunTerms {
  const kept = JSON.parse(request.request) as KeptRequest;
  const { rollout, offline, detach } = kept;
  const hadStdin = request.has_stdin !== 0;
  const parts = hadStdin ? [] : tasks.map((task) => [task.id, keptPart(request, kept, task)] as const);
  const partOf = new Map(parts);
  return {
    rollout,
    offline,
    detach,
    args: JSON.parse(run.args) as string[],
    envNames: [...Object.keys(kept.env), ...kept.secretNames].toSorted(),
    terminal: undefined,
    hasStdin: false,
    signedPart: (task) => partOf.get(task),
    whyGone: hadStdin
      ? `${restarted}: its standard input went with it`
      : `${restarted}, and its agent had told no key that its secrets could have been kept under`,
  };
}

function keptPart(
  { signed_order: order }: RunRequestsTable,
  kept: KeptRequest,
  { signature, sealed }: Pick<TasksTable, 'signature' | 'sealed'>,
): SignedPart | undefined {
  if (sealed !== null) return { sealed: Buffer.from(sealed, 'base64') };
  if (order === null || signature === null) return undefined;
  const bytes = Buffer.from(order, 'base64');
  if (!isKeptWhole(bytes, kept)) return undefined;
  return { order: bytes, signature: Buffer.from(signature, 'base64'), values: keptValues(kept) };
}
