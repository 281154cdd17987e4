import { equal, match } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemOf } from '../../../../agent/database/check-dump.ts';

const head = '--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n';
const trailer = '--\n-- PostgreSQL database dump complete\n--\n\n';

describe('a dump that may be imported', () => {
  for (const [title, tail] of [
    ['ends with the last line of pg_dump', `\\.\n\n\n${trailer}`],
    ['may have the end of \\restrict after it', `${trailer}\\unrestrict 1aB2\n\n`],
    ['may have Windows line ends', trailer.replaceAll('\n', '\r\n')],
  ] as const) {
    test(title, () => equal(problemOf({ head, tail }), undefined));
  }

  for (const [title, ends, problem] of [
    ['cut off', { head, tail: '1\t2\n3\t' }, /no finished dump/],
    ['empty', { head: '', tail: '' }, /no finished dump/],
    ['cut in its last line', { head, tail: '--\n-- PostgreSQL database dump compl' }, /no finished dump/],
    ['with something after its end', { head, tail: `${trailer}DROP TABLE x;\n` }, /no finished dump/],
    [
      'with the last line as data',
      { head, tail: '1\tx -- PostgreSQL database dump complete\n' },
      /no finished/,
    ],
    ['of a whole server', { head: '-- PostgreSQL database cluster dump\n', tail: trailer }, /pg_dumpall/],
    ['that changes databases', { head: `${head}\\connect shop\n`, tail: trailer }, /--create/],
  ] as const) {
    test(`is not one ${title}`, () => match(problemOf(ends) ?? '', problem));
  }
});
