import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { execa } from 'execa';
import * as fc from 'fast-check';
import type { CommandResult } from '../fleet/kompose-fleet.ts';
import { endFleet, idleService, jsonLines, startFleet } from '../e2e/support.ts';
import { encodedForms, findTraces, secretValue } from './secret-forms.ts';
import { kompose as program } from '../fleet/release.ts';

/*
 * Section 11 of the command contract as one property: whatever the secrets are, wherever they come from and however
 * they are written, none of them is afterwards in any file of controller, agent or client, in any log, or in anything
 * that a client has shown.
 */
const host = 'prod-1';
const fleet = await startFleet([host], { logs: 'files' });
after(() => endFleet(fleet));

/** Two values a layer. */
const secrets = fc.record({
  root: fc.tuple(secretValue, secretValue),
  stack: fc.tuple(secretValue, secretValue),
  given: fc.tuple(secretValue, secretValue),
  exported: fc.tuple(secretValue, secretValue),
});
type Secrets = typeof secrets extends fc.Arbitrary<infer Value> ? Value : never;

/** Where the output of a program is cut into writes: lengths, used in turn. */
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 5, maxLength: 20 });

/** Prints what is in a file, each piece by a write of its own, and each variable. What they export they do last. */
const hooks = `
pieces() { local piece; while IFS= read -rd '' piece; do printf %s "$piece"; done < "$1"; }
tell() {
  pieces known; pieces known >&2
  if [[ -v E_SECRET ]]; then pieces given; fi
  if [[ -v H_TOKEN ]]; then pieces made; fi
  printf '%s\\n' "$R_PASSWORD" "$S_API_KEY" "$E_SECRET" "$R_PRIVATE" "$H_DSN"
  env
}
chain() { "$SCRIPT_DIR/kompose.sh" other exec -T api echo "$R_PASSWORD" "x\${H_TOKEN}y" || true; }
export_all() { export H_TOKEN="$(cat made-1)" H_DSN="$(cat made-2)"; }
hook_pre_up() { tell; export_all; chain; }
hook_post_up() { tell; chain; }
hook_pre_restart() { tell; export_all; return 3; }
hook_fail_restart() { tell; }
hook_pre_top() { tell; sleep 60; }
hook_fail_top() { tell; return 1; }
hook_pre_config() { tell; export_all; }
hook_pre_db_export() { tell; export_all; }
hook_fail_db_export() { tell; echo "$DB_PASSWORD" | base64; }
`;

/** A PostgreSQL server that refuses everybody, and quotes the password in its words. */
async function unkindServer(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      // SSL is declined; a start is answered with the wish for a password in clear; the password with an error.
      if (data.length === 8) socket.write('N');
      else if (!text.startsWith('p')) socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
      else {
        const message = Buffer.from(
          `SFATAL\0C28P01\0Mthe password ${text.slice(5, -1)} is wrong\0\0`,
          'latin1',
        );
        const head = Buffer.alloc(5);
        head.write('E');
        head.writeUInt32BE(message.length + 4, 1);
        socket.end(Buffer.concat([head, message]));
      }
    });
  });
  server.listen(0, fleet.rig.controllerAddress);
  await once(server, 'listening');
  return server;
}

const server = await unkindServer();
after(() => server.close());
const address = server.address();
assert.ok(typeof address === 'object' && address !== null);
const { port } = address;

function dotenv(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join('');
}

/** A text in NUL-separated pieces of these lengths in turn. */
function inPieces(text: string, lengths: readonly number[]): string {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const length = lengths[pieces.length % lengths.length] ?? 1;
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return `${pieces.join('\0')}\0`;
}

async function writeStack(
  { root, stack, given, exported }: Secrets,
  lengths: readonly number[],
): Promise<void> {
  const compose = `${idleService}    environment:\n      A: \${R_PASSWORD}\n      B: \${H_TOKEN-}\n`;
  const forms = (values: readonly string[]): string =>
    inPieces(values.flatMap(encodedForms).join('\n'), lengths);
  await fleet.writeStack(host, 'other', {
    'compose.yaml': idleService,
    '.env': 'OTHER_KEY=of-another-stack\n',
  });
  await fleet.writeStack(host, 'app', {
    'compose.yaml': compose,
    'hooks.sh': hooks,
    '.env': dotenv({
      DB_HOST: fleet.rig.controllerAddress,
      DB_PORT: String(port),
      DB_NAME: 'shop',
      DB_USER: 'app',
      DB_PASSWORD: stack[0],
      S_API_KEY: stack[1],
    }),
    known: forms([...root, ...stack]),
    given: forms(given),
    made: forms(exported),
    'made-1': exported[0],
    'made-2': exported[1],
  });
  await writeFile(join(fleet.stacks(host), '.env'), dotenv({ R_PASSWORD: root[0], R_PRIVATE: root[1] }));
}

/** All that clients have shown, by what they were. */
const outputs = new Map<string, string>();

async function kompose(...args: string[]): Promise<CommandResult> {
  const result = await fleet.kompose(args);
  outputs.set(`client ${outputs.size + 1}: ${args.join(' ')}`, result.stdout + result.stderr);
  return result;
}

/** A program on the host itself. */
async function onHost(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
  const { argvPrefix, env: hostEnv } = fleet.rig.host(host);
  const [file = 'env', ...rest] = [...argvPrefix, ...argv];
  const options = { cwd: fleet.stacks(host), env: { ...hostEnv, ...env }, timeout: 60_000 } as const;
  const { all } = await execa(file, rest, { ...options, reject: false, all: true, stdin: 'ignore' });
  outputs.set(`on the host ${outputs.size + 1}: ${argv.slice(1).join(' ')}`, all);
}

/** Has every kind of command meet these secrets; gives what some of them showed. */
async function useEverything({ root: [inRoot], stack: [caller, inStack], given }: Secrets) {
  const options = ['-e', `E_SECRET=${given[0]}`, '-e', `E_KEYS=${given[1]}`];
  const up = await kompose(...options, '-o', 'json', 'app,other', 'up', '-d');
  const argued = ['-e', `PLAIN=a ${inStack}`, '--network', inRoot, 'app', 'exec', '-T', 'api'];
  const exec = await kompose(...argued, 'echo', inRoot, `<${inStack}>`);
  const own = { KOMPOSE_HOME: join(fleet.folder, 'nobody'), CALLERS_TOKEN: caller };
  const [failing, late] = await Promise.all([
    kompose(...options, '-o', 'json', 'app', 'restart', 'api'),
    kompose('--timeout', '500ms', 'app', 'top'),
    kompose('app', 'ps', inStack),
    kompose('-n', '-o', 'json', ...options, 'app', 'exec', 'api', 'true', inRoot, inStack),
    kompose(...options, 'app', 'config'),
  ]);
  const [refused, detached] = await Promise.all([
    kompose('app', 'db:export'),
    kompose('--detach', 'app', 'config', '--format', 'json'),
    kompose('app', 'db:import', `./${inStack}`), // a value that begins with a hyphen would be an option
    kompose('-o', 'json', 'app', 'logs', '--since', inRoot),
    onHost([join(fleet.stacks(host), 'kompose.sh'), 'other', 'exec', '-T', 'api', 'echo', inRoot]),
    onHost([process.execPath, program, '--local', ...options, 'app', 'restart', inRoot], own),
  ]);
  const [{ run = '' } = {}] = jsonLines(failing.stdout);
  await Promise.all([
    kompose('runs', 'attach', detached.stdout.trim()),
    kompose('runs', 'retry', run),
    kompose('runs', 'retry', run, ...options),
    kompose('-o', 'json', 'runs', 'show', run),
    kompose('-o', 'json', 'runs', 'ls'),
    kompose('-o', 'json', 'audit', 'ls'),
  ]);
  return { up, exec, failing, late, refused };
}

test(
  'no secret leaves its host, whatever it is and however it is written',
  { timeout: 240_000 },
  async () => {
    const all: string[] = [];
    await fc.assert(
      fc.asyncProperty(secrets, cuts, async (made, lengths) => {
        all.push(...Object.values(made).flat());
        await writeStack(made, lengths);
        const { up, exec, failing, late, refused } = await useEverything(made);
        const told = jsonLines(up.stdout).map(({ data = '' }) => data);
        assert.equal(up.exitCode, 0, up.stderr);
        assert.ok(told.join('').split('[redacted]').length > 50, 'the hooks have told');
        assert.match(exec.stdout, /^\[redacted\] <\[redacted\]>$/m);
        assert.match(failing.stdout, /hook_pre_restart ended with exit code 3/);
        assert.match(late.stderr, /not done after 0\.5 s/);
        assert.match(refused.stderr, /the password .*\[redacted\].* is wrong/);
        assert.deepEqual(await findTraces(all, fleet.folder, outputs), []);
      }),
      { numRuns: 4, endOnFailure: true, includeErrorInReport: true },
    );
  },
);
