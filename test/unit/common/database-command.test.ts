import { deepEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseDatabaseCommand, type DatabaseOrder } from '../../../common/database-command.ts';
import { assertUsageError } from './usage-error.ts';

const understood: readonly [command: string, args: readonly string[], order: DatabaseOrder][] = [
  ['db:export', [], { kind: 'export', format: 'sql' }],
  ['db:export', ['--format', 'sql.gz'], { kind: 'export', format: 'sql.gz' }],
  ['db:export', ['--format=sql.zst'], { kind: 'export', format: 'sql.zst' }],
  ['db:import', [], { kind: 'import', file: undefined, inPlace: false }],
  ['db:import', ['a b.sql', '--in-place'], { kind: 'import', file: 'a b.sql', inPlace: true }],
  ['db:import', ['--in-place', '--', '--x.sql'], { kind: 'import', file: '--x.sql', inPlace: true }],
  ['db:cleanup', [], { kind: 'cleanup', keep: 1 }],
  ['db:cleanup', ['--keep', '3'], { kind: 'cleanup', keep: 3 }],
  ['db:cleanup', ['--keep=0'], { kind: 'cleanup', keep: 0 }],
];

const refused: readonly [command: string, args: readonly string[], part: string][] = [
  ['db:export', ['--frmat', 'sql'], 'db:export does not know "--frmat"'],
  ['db:export', ['--format', 'tar'], 'cannot write the format "tar"; usage: db:export [--format sql|'],
  ['db:export', ['--format'], 'needs a value after --format'],
  ['db:export', ['shop.sql'], 'does not take "shop.sql"'],
  ['db:export', ['-n'], 'does not know "-n"'],
  ['db:import', ['a.sql', 'b.sql'], 'does not take "b.sql"'],
  ['db:import', [''], 'an empty name'],
  ['db:import', ['--in-place=yes'], 'does not know "--in-place=yes"'],
  ['db:cleanup', ['--keep', '-1'], 'needs a number after --keep, not "-1"'],
  ['db:cleanup', ['--keep', 'all'], 'needs a number after --keep, not "all"'],
  ['db:cleanup', ['5'], 'does not take "5"'],
  [
    'db:exprot',
    [],
    'there is no command "db:exprot", only db:export, db:import, db:cleanup; did you mean db:export?',
  ],
  ['db:constructor', [], 'there is no command "db:constructor"'],
];

describe('the words of a database command', () => {
  for (const [command, args, order] of understood) {
    test(`understands ${[command, ...args].join(' ')}`, () => {
      deepEqual(parseDatabaseCommand(command, args), order);
    });
  }
  for (const [command, args, part] of refused) {
    test(`refuses ${JSON.stringify([command, ...args])} in one line`, () => {
      assertUsageError(() => parseDatabaseCommand(command, args), part);
    });
  }
});
