import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cefLine } from '../../../cli/output/cef.ts';

const actor = { name: 'ada', role: 'admin' };

test('a record is a line of CEF', () => {
  const record = {
    seq: 7,
    type: 'hook.finished',
    time: '2026-05-01T08:00:00.000Z',
    actor,
    clientAddress: '10.0.0.1',
    host: 'prod-1',
    stack: 'sexy',
    command: 'up',
    outcome: 'failed',
    hook: { name: 'hook_pre_up', sha256: 'ab' },
    controllerVersion: '0.1.0',
    hash: 'cd',
  };
  assert.equal(
    cefLine(record),
    'CEF:0|kompose|kompose|0.1.0|hook.finished|hook.finished|6|externalId=7 rt=1777622400000 suser=ada spriv=admin ' +
      'src=10.0.0.1 dhost=prod-1 outcome=failed cs1Label=stack cs1=sexy cs2Label=command cs2=up cs4Label=hook ' +
      'cs4=hook_pre_up cs5Label=scriptSha256 cs5=ab cs6Label=recordSha256 cs6=cd',
  );
});

test('what would end a field or the line is escaped', () => {
  const line = cefLine({ seq: 1, type: 'a|b', reason: 'x=1\\\ny' });
  assert.equal(line, String.raw`CEF:0|kompose|kompose||a\|b|a\|b|3|externalId=1 reason=x\=1\\\ny`);
});

test('a contradiction is as severe as can be', () => {
  assert.match(cefLine({ seq: 1, type: 'audit.contradicted', actor }), /\|10\|externalId=1 suser=ada/);
});
