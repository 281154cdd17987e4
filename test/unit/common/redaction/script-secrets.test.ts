import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scriptSecrets } from '../../../../common/redaction/script-secrets.ts';

const cases: readonly [script: string, secrets: readonly string[]][] = [
  ['export DB_PASSWORD=hunter22', ['hunter22']],
  [`API_KEY="a b" curl -H "x"`, ['a b']],
  [`if true; then TOKEN='it is'; fi`, ['it is']],
  ['up() { SECRET=abcd; }', ['abcd']],
  ['  local private_key=x\\ y', ['x\\ y']],
  ['PASSWORD=$(cat file)\nTOKEN="${OTHER}"\nKEYBOARD=qwerty\nNAME=ada', []],
  ['echo "no=assignment" PASSWORD', []],
];
for (const [script, secrets] of cases) {
  test(`finds ${JSON.stringify(secrets)} in ${JSON.stringify(script)}`, () => {
    assert.deepEqual(scriptSecrets(script), secrets);
  });
}
