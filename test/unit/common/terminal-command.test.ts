import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { takesTerminal } from '../../../common/terminal-command.ts';

describe('takesTerminal', () => {
  const cases: readonly [line: string, takes: boolean][] = [
    ['exec api sh', true],
    ['exec -it api sh', true],
    ['exec -T api sh', false],
    ['exec --no-TTY api sh', false],
    ['exec --no-tty api sh', false],
    ['exec --no-TTY=false api sh', true],
    ['exec -iT api sh', false],
    ['exec -Ti api sh', false],
    ['exec -d api sh', false],
    ['exec --detach api sh', false],
    ['exec --detach=false api sh', true],
    ['exec api sh -T', true],
    ['exec api -d', true],
    ['exec -- api -T', true],
    ['exec -e -T api sh', true],
    ['exec -eT api sh', true],
    ['exec -ie A=1 -T api sh', false],
    ['exec --env A=1 -T api sh', false],
    ['exec --env=A=1 api sh -T', true],
    ['exec --index 2 -T api sh', false],
    ['exec -u root -w /tmp api sh', true],
    ['exec -t=false api sh', false],
    ['exec --tty=false api sh', false],
    ['run api sh', true],
    ['run --rm -it api sh', true],
    ['run --rm -T api sh', false],
    ['run -d api sh', false],
    ['run --rm --name -T api sh', true],
    ['run --entrypoint sh -p 80:80 -T api', false],
    ['run --rm --service-ports api sh -T', true],
    ['up', false],
    ['logs -t', false],
  ];
  for (const [line, takes] of cases) {
    test(`${takes ? 'is true' : 'is false'} for ${line}`, () => {
      const [command = '', ...args] = line.split(' ');
      assert.equal(takesTerminal(command, args), takes);
    });
  }
});
