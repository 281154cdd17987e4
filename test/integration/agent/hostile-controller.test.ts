import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { agentGauges } from '../../../agent/gauges.ts';
import { ProcessGauge } from '../../../common/process-gauge.ts';
import { LocalRuns } from '../../../agent/local/local-runs.ts';
import { Session } from '../../../agent/session/session.ts';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import { signRun } from '../../../cli/sign-run.ts';
import { HeadWitness } from '../../../common/audit/head-witness.ts';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { changeEntry, joinEntry, rootEntry, type RosterChange } from '../../../common/roster/entry.ts';
import { RosterFile } from '../../../common/roster/roster-file.ts';
import { Roster } from '../../../common/roster/roster.ts';
import { clockToleranceMs } from '../../../common/signing/order.ts';
import { createSealingSeed, sealingKey, sealTo, type SealingKey } from '../../../common/sealing.ts';
import { createSigningKey, type SigningKey } from '../../../common/signing/signing-key.ts';
import { createStdinKey, stdinMarker } from '../../../common/signing/stdin-marks.ts';
import { createTokenSeed, tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { decodeTaskEvent } from '../../../proto/event-codec.ts';
import type { AgentMessage, ControllerMessage, StartTask } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { RunRequest } from '../../../proto/gen/kompose/v1/fleet.ts';
import { SignedOrder } from '../../../proto/gen/kompose/v1/signing.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { encodeSealedTask } from '../../../proto/sealed-task-codec.ts';
import { Bench } from './bench.ts';

/*
 * The real session of an agent, with the real roster, journal and tasks, and in the controller's place a test that does
 * what somebody could who has taken it over: it has all that a controller ever gets, and no user's key.
 */

const ada = createSigningKey();
const root = rootEntry('ada', ada);
const stdinKey = createStdinKey();
const typed = { offset: 0, data: Buffer.from('drop table'), isEnd: true };
const processGauge = new ProcessGauge();
const runId = '01J0000000000000000000000R';
const firstTask = '01J0000000000000000000000T';
const secondTask = '01J0000000000000000000000V';

/** What ada has signed: `exec app true` on prod-1:sexy, unless the change says otherwise. */
function signedTask(
  change: Partial<RunRequest> = {},
  { key = ada, task = firstTask, host = 'prod-1', stack = 'sexy', nowMs = Date.now() } = {},
): StartTask {
  const request = {
    ...RunRequest.decode(Buffer.alloc(0)),
    pattern: '*',
    command: 'exec',
    args: ['app', 'true'],
    env: { TAG: 'v1' },
    network: 'blue',
    ...change,
  };
  const proposal = { runId, targets: [{ taskId: task, host, stack }] };
  const { order, env, network, signatures } = signRun({ request, stdinKey }, proposal, key, nowMs);
  const [signature = Buffer.alloc(0)] = signatures;
  const output = { keptBytes: 1024 * 1024, windowBytes: 0 };
  const rest = { terminalSize: undefined, output, sealed: new Uint8Array() };
  return { taskId: task, stack, order, signature, env, network, ...rest };
}

/** A task that reads the client's stdin. */
const reading = signedTask({ hasStdin: true, args: ['-T', 'app', 'cat'] });

/** The order, encoded anew with a change: what a controller can do who does not need a signature. */
function altered(message: StartTask, change: Partial<SignedOrder>): StartTask {
  return {
    ...message,
    order: SignedOrder.encode({ ...SignedOrder.decode(message.order), ...change }).finish(),
  };
}

class Host {
  readonly bench: Bench;
  readonly sent: AgentMessage[] = [];
  readonly roster: RosterFile;
  readonly #session: Session;
  readonly #key: SealingKey;
  /** Says `sent` whenever the agent has said something. */
  readonly #stream: EventEmitter;
  readonly #tasks: TaskRegistry;
  readonly #journal: TaskJournal;
  #hasEnded = false;

  private constructor(bench: Bench, tasks: TaskRegistry, journal: TaskJournal, key: SealingKey) {
    const { folder } = bench;
    this.bench = bench;
    this.#key = key;
    this.#tasks = tasks;
    this.roster = RosterFile.open(join(folder, 'roster'), keyFingerprint(ada.publicKey));
    this.#journal = journal;
    const localRuns = new LocalRuns(join(folder, 'local-runs'));
    const host = {
      version: '0',
      name: 'prod-1',
      instanceId: 'i',
      startedMs: 0,
      tasks,
      roster: this.roster,
      sealingKey: key,
      journal: this.#journal,
      localRuns,
      auditWitness: new HeadWitness(join(folder, 'head')),
      takeInventory: async () => [],
      watchInventory: async function* () {},
      askStatus: async () => [],
      maskWords: async () => [],
      readGauges: (reports: number) => agentGauges({ process: processGauge, tasks, localRuns }, reports),
    };
    const stream: EventEmitter = Object.assign(new EventEmitter(), {
      write: (message: AgentMessage) => this.sent.push(message) > 0 && stream.emit('sent'),
    });
    this.#stream = stream;
    this.#session = new Session({
      host,
      linkNumber: 1,
      trusts: [],
      client: undefined as never,
      stream: stream as never,
      end: () => undefined,
      onWelcome: () => undefined,
      onFarewell: () => undefined,
      onRenewalDue: () => undefined,
      log: pino({ level: 'silent' }),
    });
  }

  /** One that knows ada, and has the stack `sexy`, whose actions leave their words in `ran`. */
  static async start(t: TestContext): Promise<Host> {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { action: 'printf "%s\\n" "$*" "$TAG" "$NETWORK_NAME" >> ran; cat >> ran\n' });
    await bench.stack('news', { action: 'echo "$*" >> ran\n' });
    const host = await Host.#serve(t, bench, await sealingKey(createSealingSeed()));
    host.hear({ $case: 'roster', value: { after: 0, entries: [root] } });
    return host;
  }

  static async #serve(t: TestContext, bench: Bench, key: SealingKey): Promise<Host> {
    const { folder } = bench;
    const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
    const wasBegun = (task: string): boolean => journal.has(task);
    const log = pino({ level: 'silent' });
    const tasks = await TaskRegistry.open(bench.host, join(folder, 'tasks'), log, wasBegun);
    const host = new Host(bench, tasks, journal, key);
    t.after(() => host.#end());
    return host;
  }

  async #end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#session.close();
    this.#tasks.cancelAll('the test is over');
    await this.#tasks.settled();
    this.#journal.close();
  }

  /** The next process of this agent, with what is on its disk. */
  async restart(t: TestContext): Promise<Host> {
    await this.#end();
    return Host.#serve(t, this.bench, this.#key);
  }

  hear(kind: NonNullable<ControllerMessage['kind']>): void {
    this.#session.receive({ kind });
  }

  /** Why it does not do that; fails if it does. */
  refuses(message: StartTask): string {
    const before = this.#tasks.open.length;
    this.hear({ $case: 'startTask', value: message });
    const { kind } = this.sent.at(-1) ?? {};
    assert.equal(this.#tasks.open.length, before, 'it was accepted');
    if (kind?.$case !== 'taskRefused') return assert.fail(`it answered ${kind?.$case}`);
    assert.equal(kind.value.denied, true);
    assert.equal(kind.value.taskId, message.taskId);
    return kind.value.reason;
  }

  /** Why it does not do that, when it comes sealed for a task of this id. */
  async refusesSealed(message: StartTask, sealedFor = message.taskId): Promise<string> {
    const { taskId, stack, order, signature, env, network, ...rest } = message;
    const bytes = encodeSealedTask({ order, signature, values: { env, network } });
    const sealed = await sealTo(this.#key.publicKey, bytes, sealedFor);
    const none = { order: Buffer.alloc(0), signature: Buffer.alloc(0), env: [], network: undefined };
    const told = once(this.#stream, 'sent');
    this.hear({ $case: 'startTask', value: { ...rest, ...none, taskId, stack, sealed } });
    await told;
    const { kind } = this.sent.at(-1) ?? {};
    if (kind?.$case !== 'taskRefused') return assert.fail(`it answered ${kind?.$case}`);
    assert.deepEqual([kind.value.denied, kind.value.taskId, this.#tasks.open], [true, taskId, []]);
    return kind.value.reason;
  }

  /** Does it, to its end; gives the task's state and its user. `markStdin` marks `typed`, given this host's half of the key. */
  async does(
    message: StartTask,
    markStdin?: (hostKey: Uint8Array) => Uint8Array,
  ): Promise<{ state: string; user: string }> {
    const before = this.sent.length;
    this.hear({ $case: 'startTask', value: message });
    assert.deepEqual(this.sent.slice(before), []);
    const user = this.#tasks.running(message.taskId)?.spec.user ?? '';
    const spool = this.#tasks.open.find(({ task }) => task === message.taskId);
    if (markStdin !== undefined) {
      let hostKey = new Uint8Array();
      spool?.stdin?.reportTo((_, key) => (hostKey = Uint8Array.from(key)));
      spool?.stdin?.receive({ ...typed, mark: markStdin(hostKey) });
    }
    await this.#tasks.settled();
    const last = await spool?.log.newest();
    const event = last === undefined ? undefined : decodeTaskEvent(last.bytes).event;
    return { state: event?.type === 'task.finished' ? event.state : 'unknown', user };
  }

  /** The controller has acknowledged all of it. */
  forget(task: string): void {
    const spool = this.#tasks.open.find((open) => open.task === task);
    if (spool !== undefined) this.#tasks.forget(spool);
  }
}

/** Changes the roster as ada does. */
function changed(before: Roster, change: RosterChange): Roster {
  return before.extend([changeEntry(change, before, ada)]);
}

const alone = Roster.empty.extend([root]);

/** With bob, and the token's key that let him in. */
function withBob(bob: SigningKey, role = 'deployer'): Roster {
  const { key } = tokenSecrets(createTokenSeed());
  const whom = { key: key.publicKey, user: 'bob', role, uses: 1, until: Date.now() };
  const invited = changed(alone, { type: 'invite', ...whom });
  return invited.extend([joinEntry('bob', bob.publicKey, key)]);
}

describe('an agent whose controller was taken over', () => {
  test('does what a user has signed, as that user', async (t) => {
    const host = await Host.start(t);
    assert.deepEqual(await host.does(signedTask({ command: 'up', args: ['-d'] })), {
      state: 'succeeded',
      user: 'ada',
    });
  });

  /** What is done here with the key of somebody of this role, and what is not. */
  async function withRole(
    t: TestContext,
    role: string,
    allowed: readonly Partial<RunRequest>[],
    denied: readonly (readonly [Partial<RunRequest>, RegExp])[],
  ): Promise<void> {
    const host = await Host.start(t);
    const bob = createSigningKey();
    const { entries } = withBob(bob, role);
    host.hear({ $case: 'roster', value: { after: 1, entries: entries.slice(1) } });
    for (const [request, why] of denied) assert.match(host.refuses(signedTask(request, { key: bob })), why);
    for (const request of allowed)
      assert.deepEqual(await host.does(signedTask(request, { key: bob })), {
        state: 'succeeded',
        user: 'bob',
      });
  }

  test('has done with a viewer’s key what a viewer may', (t) =>
    withRole(
      t,
      'viewer',
      [{ command: 'ps', args: [] }],
      [
        [{ command: 'up', args: ['-d'] }, /^the role viewer, which bob has .* does not allow up /],
        [{ command: 'exec' }, /does not allow exec /],
        [{ command: 'config', args: ['-o', 'x'] }, /does not allow config -o /],
        [{ command: 'ps', args: [], env: { LD_PRELOAD: 'x' } }, /does not allow -e LD_PRELOAD /],
        [{ command: 'up', args: ['-d'], dryRun: true }, /does not allow up /],
      ],
    ));

  test('has done with an operator’s key what an operator may', (t) =>
    withRole(
      t,
      'operator',
      [{ command: 'up', args: ['-d'] }],
      [
        [{ command: 'exec' }, /^the role operator, which bob has .* does not allow exec /],
        [{ command: 'db:import', args: [] }, /does not allow db:import /],
        [{ command: 'up', args: ['-d'], env: { DOCKER_HOST: 'x' } }, /does not allow -e DOCKER_HOST /],
      ],
    ));

  test('is the only one to look at what a role of the fleet’s own allows', (t) =>
    withRole(t, 'deployer', [{ command: 'exec' }], []));

  test('has nothing more done that a role allowed before an admin changed it', async (t) => {
    const host = await Host.start(t);
    const bob = createSigningKey();
    const before = withBob(bob, 'admin');
    const after = changed(before, { type: 'role', name: 'bob', role: 'viewer' });
    host.hear({ $case: 'roster', value: { after: 1, entries: after.entries.slice(1) } });
    assert.match(host.refuses(signedTask({}, { key: bob })), /the role viewer, which bob has/);
    const restarted = await host.restart(t);
    assert.match(restarted.refuses(signedTask({}, { key: bob })), /the role viewer, which bob has/);
  });

  const wrong = /not what its user signed for this host, stack and task/;
  const alterations: readonly [what: string, message: (signed: StartTask) => StartTask, why: RegExp][] = [
    ['another command', (signed) => altered(signed, { command: 'down' }), wrong],
    ['an altered argument', (signed) => altered(signed, { args: ['app', 'false'] }), wrong],
    ['an argument more', (signed) => altered(signed, { args: ['app', 'true', '--privileged'] }), wrong],
    ['no dry run in place of one', (signed) => altered(signed, { dryRun: true }), wrong],
    ['a longer time', (signed) => altered(signed, { timeoutMs: 1 }), wrong],
    ['unmasked output', (signed) => altered(signed, { raw: true }), wrong],
    ['a terminal', (signed) => altered(signed, { term: 'xterm' }), wrong],
    ['a stdin', (signed) => altered(signed, { stdinKey: createStdinKey().publicKey }), wrong],
    ['a longer force', (signed) => altered(signed, { notAfterUnixMs: Date.now() + 1e9 }), wrong],
    ['a sealed variable of its own', (signed) => altered(signed, { env: [] }), wrong],
    ['another stack', (signed) => ({ ...signed, stack: 'news' }), wrong],
    ['another task', (signed) => ({ ...signed, taskId: secondTask }), wrong],
    ['no signature', (signed) => ({ ...signed, signature: Buffer.alloc(0) }), wrong],
    ['a signature of zeros', (signed) => ({ ...signed, signature: Buffer.alloc(64) }), wrong],
    ['a stack outside the root', (signed) => ({ ...signed, stack: '../sexy' }), /bad stack name/],
    ['a task that is a path', (signed) => ({ ...signed, taskId: '../../../tmp/x' }), /not one of a task/],
    ['bytes that are none', (signed) => ({ ...signed, order: Buffer.from([0xff]) }), /cannot be read/],
    [
      'another value of a variable',
      (signed) => ({ ...signed, env: signed.env.map((each) => ({ ...each, value: 'v2' })) }),
      /not those that were signed/,
    ],
    [
      'a variable more',
      (signed) => ({
        ...signed,
        env: [...signed.env, { name: 'BASH_ENV', value: '/x', salt: Buffer.alloc(16) }],
      }),
      /not those that were signed/,
    ],
    ['a variable less', (signed) => ({ ...signed, env: [] }), /not those that were signed/],
    [
      'another network',
      (signed) => ({ ...signed, network: { name: '', value: 'red', salt: Buffer.alloc(16) } }),
      /not those that were signed/,
    ],
    ['no network', (signed) => ({ ...signed, network: undefined }), /not those that were signed/],
  ];
  for (const [what, alter, why] of alterations) {
    test(`refuses ${what}`, async (t) => {
      const host = await Host.start(t);
      assert.match(host.refuses(alter(signedTask())), why);
    });
  }

  test('looks at what comes sealed just as hard', async (t) => {
    const host = await Host.start(t);
    assert.match(await host.refusesSealed(altered(signedTask(), { command: 'down' })), wrong);
    const another = '01J00000000000000000000009';
    assert.match(await host.refusesSealed(signedTask(), another), /cannot be opened/);
    assert.match(await host.refusesSealed({ ...signedTask(), stack: 'news' }), wrong);
  });

  test('refuses what was signed for another host', async (t) => {
    const host = await Host.start(t);
    assert.match(host.refuses(signedTask({}, { host: 'prod-2' })), wrong);
  });

  test('refuses a user whom the controller has made up, also under the name and key of one that is there', async (t) => {
    const host = await Host.start(t);
    const eve = createSigningKey();
    assert.match(host.refuses(signedTask({}, { key: eve })), /not in the roster/);
    const asAda = altered(signedTask({}, { key: eve }), { key: ada.publicKey });
    assert.match(host.refuses(asAda), wrong);
  });

  test('does nothing twice: not while it knows the task, nor when it was acknowledged, nor after a restart', async (t) => {
    const host = await Host.start(t);
    const message = signedTask({ command: 'up', args: ['-d'] });
    await host.does(message);
    const answers = host.sent.length;
    host.hear({ $case: 'startTask', value: message });
    assert.equal(host.sent.length, answers);
    host.forget(firstTask);
    assert.match(host.refuses(message), /begun here before/);
    const next = await host.restart(t);
    assert.match(next.refuses(message), /begun here before/);
  });

  test('refuses what has lost its force, and what would have it for ever', async (t) => {
    const host = await Host.start(t);
    const tenMinutes = 10 * 60_000;
    const old = signedTask({}, { nowMs: Date.now() - tenMinutes - clockToleranceMs - 1000 });
    assert.match(host.refuses(old), /lost its force .* ago; .*clock/);
    const eternal = signedTask({}, { nowMs: Date.now() + 3 * 366 * 86_400_000 });
    assert.match(host.refuses(eternal), /keeps its force for too long/);
    const slow = signedTask({ command: 'up' }, { nowMs: Date.now() - tenMinutes - clockToleranceMs / 2 });
    assert.equal((await host.does(slow)).state, 'succeeded');
  });

  test('ends a task whose stdin is not its user’s, before a byte of it is read', async (t) => {
    const own = createStdinKey();
    const forgeries: readonly ((hostKey: Uint8Array) => Uint8Array)[] = [
      () => Buffer.alloc(32),
      (hostKey) => stdinMarker(own, hostKey, firstTask)(typed),
      () => stdinMarker(own, stdinKey.publicKey, firstTask)(typed),
      // What the client makes for a half of the key that the controller has put in the place of the host's.
      () => stdinMarker(stdinKey, own.publicKey, firstTask)(typed),
    ];
    for (const forge of forgeries) {
      const host = await Host.start(t);
      const refused = { code: 'denied', message: /not what its user sent/ };
      await assert.rejects(host.does(reading, forge), refused);
    }
  });

  test('takes the stdin that its user has marked', async (t) => {
    const host = await Host.start(t);
    const { state } = await host.does(reading, (hostKey) => stdinMarker(stdinKey, hostKey, firstTask)(typed));
    assert.equal(state, 'succeeded');
  });
});

describe('the roster of an agent whose controller was taken over', () => {
  test('takes a user whom an admin has invited, and drops whom an admin removes, at once', async (t) => {
    const host = await Host.start(t);
    const bob = createSigningKey();
    const known = withBob(bob);
    host.hear({ $case: 'roster', value: { after: 1, entries: known.entries.slice(1) } });
    const bobs = signedTask({ command: 'up' }, { key: bob });
    assert.equal((await host.does(bobs)).user, 'bob');
    const removed = changed(known, { type: 'remove', name: 'bob' });
    host.hear({
      $case: 'roster',
      value: { after: known.count, entries: removed.entries.slice(known.count) },
    });
    assert.match(host.refuses(signedTask({}, { key: bob, task: secondTask })), /not in the roster/);
  });

  test('cannot be rolled back: the removed stay removed, also after a restart', async (t) => {
    const host = await Host.start(t);
    const bob = createSigningKey();
    const known = withBob(bob);
    const removed = changed(known, { type: 'remove', name: 'bob' });
    host.hear({ $case: 'roster', value: { after: 0, entries: [...removed.entries] } });
    const rollBack = (each: Host): void => {
      each.hear({ $case: 'roster', value: { after: 0, entries: [...known.entries] } });
      assert.match(each.refuses(signedTask({}, { key: bob })), /not in the roster/);
    };
    rollBack(host);
    rollBack(await host.restart(t));
  });

  test('takes no key of the controller’s: not in another root, not in an invite of nobody, not in a newcomer’s place', async (t) => {
    const host = await Host.start(t);
    const [eve, bob] = [createSigningKey(), createSigningKey()];
    const { key: token } = tokenSecrets(createTokenSeed());
    const whom = { key: token.publicKey, user: 'bob', role: 'admin', uses: 1, until: Date.now() };
    const invited = changed(alone, { type: 'invite', ...whom });
    const attempts = [
      { after: 0, entries: [rootEntry('ada', eve)] },
      { after: 1, entries: [rootEntry('eve', eve)] },
      { after: 1, entries: [changeEntry({ type: 'invite', ...whom }, alone, eve)] },
      { after: 1, entries: [joinEntry('eve', eve.publicKey, eve)] },
      { after: 1, entries: [...invited.entries.slice(1), joinEntry('bob', eve.publicKey, eve)] },
      {
        after: 1,
        entries: [
          ...invited.entries.slice(1),
          {
            ...joinEntry('bob', bob.publicKey, token),
            body: joinEntry('bob', eve.publicKey, token).body,
          },
        ],
      },
    ];
    for (const value of attempts) {
      host.hear({ $case: 'roster', value });
      assert.match(host.refuses(signedTask({}, { key: eve })), /not in the roster/);
    }
    assert.deepEqual(
      host.roster.current.users.map(({ name }) => name),
      ['ada'],
    );
  });

  test('gives the controller what it lacks, when that was restored from an older backup', async (t) => {
    const host = await Host.start(t);
    const known = withBob(createSigningKey());
    host.hear({ $case: 'roster', value: { after: 1, entries: known.entries.slice(1) } });
    const welcome = { protocolVersion, capabilities: [], controllerVersion: '', heartbeatPeriodMs: 5_000 };
    const { head } = alone;
    const has = {
      rosterRoot: host.roster.root,
      rosterCount: 1,
      rosterHead: head,
      returnWithinMs: 0,
      auditHead: undefined,
    };
    host.hear({ $case: 'welcome', value: { ...welcome, ...has } });
    const given = host.sent.find(({ kind }) => kind?.$case === 'roster')?.kind;
    assert.deepEqual(given, { $case: 'roster', value: { after: 1, entries: known.entries.slice(1) } });
  });
});
