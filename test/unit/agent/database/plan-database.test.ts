import { deepEqual, doesNotMatch, equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Database } from '../../../../agent/database/database.ts';
import { planCleanup, planExport, planImport } from '../../../../agent/database/plan-database.ts';
import { toolArgv, toolEnv } from '../../../../agent/database/tools.ts';
import { plan } from '../../../../agent/plan/plan.ts';

const task = '01JXYZ0000000000000000000A';
const at = { kind: 'container', service: 'db', compose: ['docker', 'compose'], password: 'own' } as const;
const inside: Database = { name: 'shop', user: 'app', at };
const outside: Database = {
  name: 'shop',
  user: 'app',
  at: { kind: 'host', host: 'db.example', port: '5433' },
};
const exec = ['docker', 'compose', 'exec', '-T', '-e', 'PGPASSWORD', '-e', 'PGAPPNAME'];

describe('the plan of a database command', () => {
  test('dumps with the tools of the container', () => {
    const { step, hookArguments } = planExport(inside, task, 'sql', '/s/shop_x.sql');
    deepEqual(step.argv, [...exec, 'db', 'pg_dump', '--username=app', '--no-password', '--dbname=shop']);
    deepEqual(hookArguments, { pre: [], post: ['/s/shop_x.sql'], fail: ['/s/shop_x.sql'] });
  });

  test('dumps with the tools of the host, through the program that compresses', () => {
    const { argv } = planExport(outside, task, 'sql.zst', '/s/shop_x.sql.zst').step;
    deepEqual(argv.slice(0, 4), ['bash', '--norc', '-c', 'set -o pipefail; "$@" | zstd -qc']);
    deepEqual(argv.slice(5, 10), [
      'pg_dump',
      '--host=db.example',
      '--port=5433',
      '--username=app',
      '--no-password',
    ]);
  });

  test('restores into a database of its own, or in place', () => {
    const file = { path: '/s/x.sql', compression: 'none' } as const;
    const beside = planImport(inside, task, file, false);
    equal(beside.step.argv.at(-1), '--dbname=kompose_import_01jxyz0000000000000000000a');
    equal(planImport(inside, task, file, true).step.argv.at(-1), '--dbname=shop');
    deepEqual(beside.hookArguments, { pre: ['/s/x.sql'], post: ['/s/x.sql'], fail: ['/s/x.sql'] });
  });

  test('removes all but the newest', () => {
    const removed = (keep: number) => planCleanup(inside, task, '/s', ['/s/c', '/s/b', '/s/a'], keep);
    deepEqual(removed(1).step.argv, ['rm', '--', '/s/b', '/s/a']);
    deepEqual(removed(1).hookArguments, { pre: [], post: ['/s/b', '/s/a'], fail: ['/s/b', '/s/a'] });
    deepEqual(removed(0).step.argv, ['rm', '--', '/s/c', '/s/b', '/s/a']);
    deepEqual(removed(9).step.argv, ['rm', '--']);
  });

  test('gives the hooks the paths in place of the words typed', () => {
    const functions = ['hook_fail_db_export', 'hook_post_db_export', 'hook_pre_db_export'];
    const parsed = {
      kind: 'parsed',
      path: '/s/hooks.sh',
      sha256: '',
      functions,
      certain: functions,
      mayDefineMore: false,
    } as const;
    const { steps, failHook } = plan({
      command: 'db:export',
      args: ['--format', 'sql'],
      compose: ['docker', 'compose'],
      hooks: { ...parsed, certain: functions, replacesShell: false, isExecutable: true },
      database: planExport(inside, task, 'sql', '/s/shop_x.sql'),
    });
    deepEqual(
      [...steps, failHook].map((step) => step?.argv.slice(-1)),
      [['hook_pre_db_export'], ['--dbname=shop'], ['/s/shop_x.sql'], ['/s/shop_x.sql']],
    );
  });
});

describe('the call of a tool', () => {
  test('never holds the password, only its variable', () => {
    const env = toolEnv(inside, 'kompose_x', { DB_PASSWORD: 'given' });
    deepEqual([env['PGPASSWORD'], env['PGAPPNAME']], ['given', 'kompose_x']);
    equal(toolEnv(inside, 'm', { DB_PASSWORD: '' })['PGPASSWORD'], 'own');
    equal(toolEnv(outside, 'm', {})['PGPASSWORD'], undefined);
  });

  test('names the database so that libpq takes no part of it for anything else', () => {
    const word = (database: Database, name: string) =>
      toolArgv(database, { program: 'psql', name, options: [] }).at(-1);
    equal(word(inside, 'a b'), `--dbname=dbname='a b'`);
    equal(word(inside, `it's`), String.raw`--dbname=dbname='it\'s'`);
    equal(word(inside, 'postgres://x'), `--dbname=dbname='postgres://x'`);
    equal(
      word(outside, 'x host=evil'),
      `--dbname=dbname='x host=evil' keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000`,
    );
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const value = String(word(inside, name)).replace(/^--dbname=(?:dbname=)?/, '');
        doesNotMatch(value.replace(/^'(?:[^'\\]|\\['\\])*'$/, ''), /[=\s'\\:]/);
      }),
    );
  });
});
