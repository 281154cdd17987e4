import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { errorTraits, isErrorCode, KomposeError, type ErrorCode } from '../../../common/errors.ts';
import { fromStatus, shortCause, toStatus } from '../../../proto/status.ts';

const codes = Object.keys(errorTraits).filter(isErrorCode);

function serviceError(code: number, details: string, metadata = new Metadata()): ServiceError {
  return Object.assign(new Error(`${code}: ${details}`), { code, details, metadata });
}

/** What the other side makes of an error. */
function passed(error: unknown): KomposeError {
  const { code, details, metadata } = toStatus(error);
  return fromStatus(serviceError(code, details, metadata), 'there:7600');
}

describe('an error on its way over the wire', () => {
  for (const code of codes.filter((each) => each !== 'internal')) {
    test(`stays ${code}, with its message`, () => {
      const { code: arrived, message } = passed(new KomposeError(code, 'a plain word: 日本'));
      assert.equal(arrived, code);
      assert.equal(message, 'a plain word: 日本');
    });
  }

  test('tells nothing of a bug but that it was one', () => {
    for (const bug of [
      new TypeError('secret path /root/x'),
      'secret',
      new KomposeError('internal', 'secret'),
    ]) {
      const { code, details, metadata } = toStatus(bug);
      assert.equal(code, status.INTERNAL);
      assert.doesNotMatch(details + JSON.stringify(metadata.getMap()), /secret/);
      assert.equal(passed(bug).code, 'internal');
    }
  });

  test('has the status that gRPC’s other clients know', () => {
    const expected: Partial<Record<ErrorCode, status>> = {
      usage: status.INVALID_ARGUMENT,
      'not-found': status.NOT_FOUND,
      denied: status.PERMISSION_DENIED,
      unauthenticated: status.UNAUTHENTICATED,
      conflict: status.ALREADY_EXISTS,
      protocol: status.FAILED_PRECONDITION,
      unavailable: status.UNAVAILABLE,
      'too-many-requests': status.RESOURCE_EXHAUSTED,
    };
    for (const [code, grpc] of Object.entries(expected)) {
      assert.ok(isErrorCode(code));
      assert.equal(toStatus(new KomposeError(code, '')).code, grpc, code);
    }
  });
});

describe('fromStatus', () => {
  const own: readonly [status: status, code: ErrorCode][] = [
    [status.UNAVAILABLE, 'controller-unreachable'],
    [status.DEADLINE_EXCEEDED, 'controller-unreachable'],
    [status.CANCELLED, 'controller-unreachable'],
    [status.UNIMPLEMENTED, 'protocol'],
    [status.RESOURCE_EXHAUSTED, 'too-many-requests'],
    [status.UNKNOWN, 'failed'],
    [status.DATA_LOSS, 'failed'],
  ];
  for (const [grpc, code] of own) {
    test(`takes gRPC’s own ${status[grpc]} for ${code} and names the peer`, () => {
      const error = fromStatus(serviceError(grpc, 'some words'), 'there:7600');
      assert.equal(error.code, code);
      assert.match(error.message, /there:7600/);
      assert.ok(error.cause instanceof Error);
    });
  }

  test('trusts no code that it does not know', () => {
    const metadata = new Metadata();
    metadata.set('kompose-code', 'constructor');
    assert.equal(fromStatus(serviceError(status.UNKNOWN, 'x', metadata), 'p').code, 'failed');
  });

  test('leaves a KomposeError as it is and takes anything else for a bug', () => {
    const error = new KomposeError('usage', 'x');
    assert.equal(fromStatus(error, 'p'), error);
    assert.equal(fromStatus(new TypeError('x'), 'p').code, 'internal');
    assert.equal(fromStatus('x', 'p').code, 'internal');
  });
});

describe('shortCause', () => {
  const table: readonly [details: string, words: string][] = [
    ['No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1', 'connection refused'],
    ['Name resolution failed: getaddrinfo ENOTFOUND nowhere', 'no such host name'],
    ['getaddrinfo EAI_AGAIN nowhere', 'the host name cannot be looked up now'],
    ['connect EHOSTUNREACH 10.0.0.1', 'no route to host'],
    ['read ECONNRESET', 'connection reset'],
    ['self-signed certificate in certificate chain', 'its certificate is not one of the fleet'],
    ['first line\nsecond line', 'first line'],
  ];
  for (const [details, words] of table) {
    test(`says ${JSON.stringify(words)}`, () => assert.ok(shortCause(details).startsWith(words)));
  }
});
