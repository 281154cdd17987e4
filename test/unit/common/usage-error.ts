import assert from 'node:assert/strict';
import { KomposeError } from '../../../common/errors.ts';

/** Asserts that `act` throws a usage error of one line whose message matches each of `parts`. */
export function assertUsageError(act: () => unknown, ...parts: readonly (string | RegExp)[]): void {
  assert.throws(act, (thrown) => {
    assert.ok(thrown instanceof KomposeError, String(thrown));
    assert.equal(thrown.code, 'usage');
    assert.doesNotMatch(thrown.message, /\p{Cc}/u);
    for (const part of parts) {
      if (typeof part === 'string')
        assert.ok(thrown.message.includes(part), `${thrown.message} lacks ${part}`);
      else assert.match(thrown.message, part);
    }
    return true;
  });
}
