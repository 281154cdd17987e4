import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, test, type TestContext } from 'node:test';
import { saveContext } from '../../cli/contexts.ts';
import { createLog } from '../../common/log.ts';
import type { TaskEvent } from '../../common/task-event.ts';
import { identityCredentials } from '../../proto/enrol.ts';
import { AgentHello, AgentLinkService, LocalRun } from '../../proto/gen/kompose/v1/agent_link.ts';
import {
  CreateTokenRequest,
  FleetService,
  LabelHostRequest,
  RunRequest,
  SetRoleRequest,
  TestRoleRequest,
} from '../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../proto/protocol-version.ts';
import { within } from '../integration/controller/inbox.ts';
import { succeeding } from '../integration/controller/test-agent.ts';
import { TestController } from '../integration/controller/test-controller.ts';
import { ask, clientWith, serves } from './ask.ts';
import { evilTexts, isHarmless, isHarmlessInColour } from './evil.ts';
import { framed, grpcHeaders, http2To, resetCode } from './http2-peer.ts';
import { allMethods, type Method } from './methods.ts';
import { requestOf, stringFields, withString, lengthDelimited, type StringField } from './proto-strings.ts';

const none = Buffer.alloc(0);
const unhurried = { openCalls: 1_000, callsPerSecond: 100_000, burst: 100_000 };
const limits = { stranger: unhurried, user: unhurried, host: unhurried, enrolment: unhurried };

/** A controller whose log can be read. */
async function start(t: TestContext): Promise<{ controller: TestController; logged: string[] }> {
  const logged: string[] = [];
  const log = createLog('controller', { write: (line) => void logged.push(line) });
  return { controller: await TestController.start(t, { limits }, log), logged };
}

function mustBeClean(controller: TestController, logged: readonly string[]): void {
  for (const { record } of controller.rows('select record from audit'))
    assert.ok(isHarmless(String(record)), String(record));
  for (const line of logged) {
    assert.ok(isHarmless(line), line);
    assert.doesNotMatch(line, /a call met a bug|met a bug/, line);
  }
}

/** Requests that are fine but for what a test puts into them. */
const fine: Readonly<Record<string, Uint8Array>> = {
  [FleetService.setRole.path]: SetRoleRequest.encode({ name: 'deployer', rules: 'allow * ps' }).finish(),
  [FleetService.createToken.path]: CreateTokenRequest.encode({
    ...CreateTokenRequest.decode(none),
    role: 'viewer',
  }).finish(),
  [FleetService.labelHost.path]: LabelHostRequest.encode({ name: 'prod-1', labels: {}, remove: [] }).finish(),
  [FleetService.testRole.path]: TestRoleRequest.encode({
    ...TestRoleRequest.decode(none),
    role: 'viewer',
    pattern: '*',
    command: 'ps',
  }).finish(),
};
/** The same of the message inside. */
const fineInside: Readonly<Record<string, Uint8Array>> = {
  [FleetService.startRun.path]: RunRequest.encode({
    ...RunRequest.decode(none),
    pattern: 'sexy',
    command: 'ps',
    detach: true,
  }).finish(),
};

interface EvilField {
  readonly method: Method;
  readonly field: StringField;
}

function evilFields(methods: readonly Method[]): EvilField[] {
  return methods.flatMap((method) =>
    stringFields(requestOf(method.path)).map((field) => ({ method, field })),
  );
}

test('what is evil is nowhere raw, in each of the strings that a request has', async (all) => {
  const methods = allMethods.filter(({ path }) => !path.includes('.AgentLink/'));
  for (const [what, evil] of Object.entries(evilTexts)) {
    await all.test(what, async (t) => {
      const { controller, logged } = await start(t);
      // It never comes: what is asked of it ends at once.
      await controller.host('prod-1');
      const client = clientWith(controller, identityCredentials((await controller.admin()).identity));
      const fields = evilFields(methods);
      assert.ok(fields.length > 40, `${fields.length} fields`);
      const asked = fields.map(async ({ method, field }) => {
        const evilPart = withString(field, evil, fineInside[method.path]);
        const bytes = Buffer.concat([fine[method.path] ?? none, evilPart]);
        const { status, message } = await ask(client, method, bytes);
        const where = `${method.path} ${field.name}: ${status} ${message}`;
        assert.ok(!['INTERNAL', 'UNKNOWN', 'UNAVAILABLE', 'DATA_LOSS'].includes(status), where);
        assert.ok(isHarmless(message) && !message.includes('\n'), where);
        assert.ok(message.length < 4_100, where);
      });
      await Promise.all(asked);
      await serves(controller);
      mustBeClean(controller, logged);
    });
  }
});

const hello = AgentHello.encode({
  ...AgentHello.decode(none),
  protocolVersion,
  instanceId: 'i',
}).finish();
const helloNumber = 1;

/** What an agent's messages hold beside what a test puts into them, by their number in AgentMessage. */
function fineOfAgent(number: number | undefined, count: number): Uint8Array | undefined {
  if (number === helloNumber) return hello;
  if (number !== 6) return undefined;
  const runId = `01J00000000000000000${String(count).padStart(6, '0')}`;
  const targets = [{ taskId: runId, host: 'prod-1', stack: 'sexy' }];
  return LocalRun.encode({
    ...LocalRun.decode(none),
    runId,
    targets,
    user: 'root',
    pattern: 'sexy',
    command: 'ps',
    startedUnixMs: 1,
  }).finish();
}

/** An Attach stream with these messages, to its end. */
async function attach(session: ClientHttp2Session, messages: readonly Uint8Array[]): Promise<void> {
  const stream = session.request(grpcHeaders(AgentLinkService.attach.path));
  const ended = resetCode(stream);
  stream.resume();
  for (const message of messages) stream.write(framed(message));
  stream.end();
  await within(5_000, 'the end of a stream', ended);
}

const texts = Object.entries(evilTexts);

describe('no host gets a name, version or reason raw into a record or a log:', () => {
  for (const [what, evil] of texts) {
    test(`${what}, in each of the strings that an agent's link has`, async (t) => {
      const { controller, logged } = await start(t);
      const identity = await controller.host('prod-1');
      const session = http2To(t, controller, identity);
      const fields = stringFields('AgentMessage');
      assert.ok(fields.length > 20, `${fields.length} fields`);
      for (const [count, field] of fields.entries()) {
        const [number] = field.numbers;
        const message = withString(field, evil, fineOfAgent(number, count));
        const first = number === helloNumber ? [] : [lengthDelimited(helloNumber, hello)];
        await attach(session, [...first, message]);
      }
      await serves(controller);
      mustBeClean(controller, logged);
      assert.deepEqual(await readdir(join(controller.folder, '..')), ['controller']);
    });
  }
});

test('no run’s id leads out of the folder of the runs', async (t) => {
  const { controller } = await start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const runId = '../../escaped';
  const targets = [{ taskId: '01J00000000000000000000000', host: 'prod-1', stack: 'sexy' }];
  const run = { ...LocalRun.decode(none), runId, targets, user: 'root', command: 'ps', startedUnixMs: 1 };
  agent.send({ $case: 'localRun', value: run });
  assert.equal((await agent.inbox.ended).code, 'protocol');
  assert.deepEqual(await readdir(join(controller.folder, '..')), ['controller']);
  assert.deepEqual(controller.rows('select id from runs'), []);
});

/** All that an agent says of a task in words. */
function evilEvents(evil: string): TaskEvent[] {
  const step = { step: 'pre', name: evil } as const;
  return [
    { type: 'task.queued', waitingFor: evil },
    { type: 'step.started', ...step, argv: [evil] },
    { type: 'notice', text: evil },
    { type: 'output', step: 'pre', stream: 'stderr', data: Buffer.from(`${evil}\n`) },
    {
      type: 'step.finished',
      ...step,
      outcome: 'failed',
      exitCode: 1,
      durationMs: 1,
      hookSha256: evil,
      outputSha256: evil,
      script: { textSha256: evil, text: evil },
    },
    {
      type: 'task.finished',
      state: 'failed',
      reason: evil,
      durationMs: 1,
      actionDecided: false,
      dump: { path: evil, sizeBytes: 1, sha256: evil },
    },
  ];
}

test('what a host tells of a task is escaped in every view of it', async (t) => {
  const { controller, logged } = await start(t);
  const evil = texts.map(([, text]) => text.slice(0, 100)).join('.');
  const { agent } = await controller.online('prod-1', ['sexy', 'good']);
  const admin = await controller.admin();
  const run = admin.run();
  const { run: id } = await run.started();
  for (const events of [evilEvents(evil), succeeding()]) {
    const { taskId } = await agent.asked();
    const report = agent.report();
    await report.open(taskId);
    report.write(1, events);
  }
  await run.finished();
  mustBeClean(controller, logged);
  const home = await mkdtemp(join(tmpdir(), 'kompose-user-'));
  t.after(() => rm(home, { recursive: true }));
  const { identity } = admin;
  const { root = '' } = await admin.roster();
  const signed = { signingKey: admin.key, root };
  const context = { ...identity, ...signed, addresses: [controller.address], name: 'admin', role: 'admin' };
  await saveContext(join(home, 'user'), 'default', context, undefined);
  const views = [
    ['runs', 'show', id],
    ['runs', 'attach', id],
    ['audit', 'ls'],
    ['runs', 'show', id, '-o', 'json'],
  ];
  await Promise.all(
    views.map(async (words) => {
      const shown = await kompose(home, words);
      const isAttached = words[1] === 'attach';
      // Off a terminal what commands write passes as it is.
      const own = isAttached
        ? shown.stderr
            .split('\n')
            .filter((line) => !line.includes(' | '))
            .join('\n')
        : shown.all;
      assert.ok(own.includes('cleared') || own.length > 100, own);
      assert.ok(isHarmlessInColour(own), `${words.join(' ')}: ${JSON.stringify(own)}`);
    }),
  );
});

async function kompose(home: string, words: readonly string[]): Promise<{ stderr: string; all: string }> {
  const program = join(import.meta.dirname, '../../bin/kompose.ts');
  const env = { ...process.env, KOMPOSE_HOME: home };
  const run = promisify(execFile)(process.execPath, [program, ...words], { env, timeout: 20_000 });
  const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error);
  return { stderr, all: stdout + stderr };
}
