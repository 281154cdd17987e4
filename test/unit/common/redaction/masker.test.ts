import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Masker } from '../../../../common/redaction/masker.ts';
import { referenceMask } from './reference-mask.ts';

/** Pushes the text cut at these places, and gives all that came out. */
function maskCut(masker: Masker, text: Uint8Array, cuts: readonly number[]): Buffer {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  const stream = masker.stream();
  const given = places.slice(1).map((end, index) => stream.push(text.subarray(places[index], end)));
  return Buffer.concat([...given, stream.flush()]);
}

const cuts = fc.array(fc.nat(500), { maxLength: 20 });
const anySecret = fc.oneof(
  fc.string({ minLength: 4, maxLength: 30, unit: 'binary' }),
  fc.string({ minLength: 4, maxLength: 30, unit: 'grapheme' }),
  fc.stringMatching(/^[.*+?^${}()|[\]\\\n\r%&$'" -]{4,12}$/),
  fc.tuple(fc.base64String({ minLength: 4 }), fc.base64String()).map((lines) => lines.join('\n')),
);
/** Of few letters, so that secrets overlap, repeat and hold each other. */
const tightSecret = fc.string({
  minLength: 4,
  maxLength: 9,
  unit: fc.constantFrom('a', 'b', '\n', '%', '?'),
});

/** With no pattern of less than 7 bytes: these are looked for in steps of 4. */
const longSecret = fc.string({ minLength: 8, maxLength: 16, unit: fc.constantFrom('a', 'b', '?', 'ü') });

/** Text made of secrets, their beginnings and ends, their encoded forms and noise. */
function textWith(secrets: readonly string[], noise: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const piece = fc.constantFrom(...secrets).chain((secret) =>
    fc.oneof(
      noise,
      fc.constant(secret),
      fc.nat(secret.length).map((end) => secret.slice(0, end)),
      fc.nat(secret.length).map((start) => secret.slice(start)),
      fc
        .tuple(noise, noise)
        .map(([before, behind]) => Buffer.from(before + secret + behind).toString('base64')),
      fc
        .tuple(noise, fc.constantFrom('\n', '\r\n', '\r', '\n\n', '\r\r\n'), fc.integer({ min: 28, max: 40 }))
        .map(([before, lineBreak, width]) => {
          const encoded = Buffer.from(before.repeat(9) + secret.repeat(5)).toString('base64url');
          return (encoded.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).join(lineBreak);
        }),
    ),
  );
  return fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
}

function secretsAndText(secret: fc.Arbitrary<string>, noise: fc.Arbitrary<string>) {
  return fc
    .array(secret, { minLength: 1, maxLength: 5 })
    .chain((secrets) => fc.tuple(fc.constant(secrets), textWith(secrets, noise)));
}

for (const [name, secret, noise, numRuns] of [
  ['secrets of any kind', anySecret, fc.string({ unit: 'binary' }), 100],
  ['overlapping secrets', tightSecret, fc.string({ unit: fc.constantFrom('a', 'b', '\n') }), 300],
  ['long secrets', longSecret, fc.string({ unit: fc.constantFrom('a', 'b', '\n') }), 300],
] as const) {
  test(`hides all occurrences and nothing else, however the text is cut: ${name}`, () => {
    const property = fc.property(secretsAndText(secret, noise), cuts, ([secrets, text], places) => {
      const bytes = Buffer.from(text);
      const masked = maskCut(new Masker(secrets), bytes, places).toString('latin1');
      assert.equal(masked, referenceMask(bytes.toString('latin1'), secrets));
    });
    fc.assert(property, { numRuns });
  });
}

test('no value shows that stands between other text', () => {
  const property = fc.property(anySecret, fc.lorem(), fc.lorem(), cuts, (secret, before, behind, places) => {
    fc.pre(!`${before}[redacted]${behind}`.includes(secret));
    const masked = maskCut(new Masker([secret]), Buffer.from(before + secret + behind), places).toString();
    assert.ok(!masked.includes(Buffer.from(secret).toString()), masked);
  });
  fc.assert(property);
});

test('no base64 of a text with the value shows it', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const secret = fc
    .uint8Array({ minLength: 6, maxLength: 60 })
    .map((each) => Buffer.from(each).toString('hex'));
  const property = fc.property(
    bytes,
    secret,
    bytes,
    fc.nat(2),
    cuts,
    (before, value, behind, form, places) => {
      const encoded = Buffer.concat([before, Buffer.from(value), behind]).toString(
        form === 0 ? 'base64url' : 'base64',
      );
      const text = form === 2 ? (encoded.match(/.{1,76}/g) ?? []).join('\n') : encoded;
      const masked = maskCut(new Masker([value]), Buffer.from(text), places).toString();
      const [left = '', right] = masked.split('[redacted]');
      assert.ok(right !== undefined, masked);
      const start = left.replaceAll('\n', '');
      assert.ok(encoded.startsWith(start));
      assert.ok((start.length * 6) / 8 < before.length + 1, 'less than a byte of the value on the left');
      const end = right.replaceAll('\n', '');
      assert.ok(encoded.endsWith(end));
      assert.ok(
        ((encoded.length - end.length) * 6) / 8 > before.length + value.length - 1,
        'nor on the right',
      );
    },
  );
  fc.assert(property);
});

test('no URL-encoded value shows inside a query', () => {
  const property = fc.property(anySecret, cuts, fc.boolean(), (secret, places, isLower) => {
    const encoded = new URLSearchParams({ a: 'x', b: secret, c: 'y' }).toString();
    const text = isLower ? encoded.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase()) : encoded;
    assert.equal(maskCut(new Masker([secret]), Buffer.from(text), places).toString(), 'a=x&b=[redacted]&c=y');
  });
  fc.assert(property);
});

test('text without a secret passes byte for byte, also binary', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 400 }), cuts, (text, places) => {
    const masker = new Masker(['correct horse', 'p4ssw0rd-ü', 'postgres://u:battery@h/staple']);
    assert.deepEqual(maskCut(masker, text, places), Buffer.from(text));
  });
  fc.assert(property);
});

test('masking what is masked changes nothing', () => {
  const property = fc.property(secretsAndText(anySecret, fc.lorem()), ([secrets, text]) => {
    // With the mark's own bracket one of them could begin in a mark and end beside it.
    fc.pre(secrets.every((secret) => !/[[\]]/.test(secret)));
    const masker = new Masker(secrets);
    const once = masker.maskText(text);
    assert.equal(masker.maskText(once), once);
  });
  fc.assert(property);
  const masker = new Masker(['redacted', 'acte']);
  assert.equal(masker.maskText('was redacted, [redacted], acted'), 'was [redacted], [redacted], [redacted]d');
});

test('values of less than 4 characters are left alone', () => {
  assert.equal(new Masker(['abc', 'x', '']).maskText('abc x'), 'abc x');
});

test('secrets that touch or overlap, or hold each other, become one mark', () => {
  const masker = new Masker(['abcd', 'abcdef', 'cdefgh', 'mnop']);
  assert.equal(
    masker.maskText('-abcd-abcdef-abcdefgh-abcde-abcdmnop-'),
    '-[redacted]-[redacted]-[redacted]-[redacted]e-[redacted]-',
  );
});

test('a chunk without a secret is given out uncopied', () => {
  const stream = new Masker(['secret']).stream();
  const chunk = Buffer.from('nothing in here.\n');
  const given = stream.push(chunk);
  assert.equal(given.buffer, chunk.buffer);
  assert.equal(given.byteOffset, chunk.byteOffset);
  assert.equal(given.length, chunk.length);
});

test('without secrets chunks pass as they are', () => {
  const chunk = Buffer.from('text');
  assert.equal(new Masker().stream().push(chunk), chunk);
});

test('holds what may be the beginning of a secret, and no more', () => {
  const stream = new Masker(['hunter22']).stream();
  assert.equal(String(stream.push(Buffer.from('a line\nhunt'))), 'a line\n');
  assert.equal(stream.held, 4);
  assert.equal(String(stream.push(Buffer.from('er22'))), '[redacted]');
  assert.equal(stream.held, 0);
  assert.equal(String(stream.push(Buffer.from(' hunt'))), ' ');
  assert.equal(String(stream.push(Buffer.from('ing'))), 'hunting');
  assert.equal(stream.held, 0);
});

test('a log line is not held for its line break, whatever it ends with', () => {
  const stream = new Masker(['hunter22']).stream();
  for (const line of ['aHVudG\n', 'it is aHVudG\r\n', 'h\n']) {
    assert.equal(String(stream.push(Buffer.from(line))), line);
    assert.equal(stream.held, 0);
  }
});

test('the caller may reuse the memory of a chunk of which the end is held', () => {
  const stream = new Masker(['hunter22']).stream();
  const chunk = Buffer.from('hunt');
  assert.equal(stream.push(chunk).length, 0);
  chunk.fill(0);
  assert.equal(String(stream.flush()), 'hunt');
});

test('what was given out does not change with what comes later', () => {
  const stream = new Masker(['aaaaaaab']).stream();
  const given = Array.from({ length: 40 }, () => stream.push(Buffer.from('a')));
  given.push(stream.push(Buffer.from('bcd')));
  assert.equal(Buffer.concat(given).toString(), `${'a'.repeat(33)}[redacted]cd`);
});

test('flush gives out the beginning of a secret, and the next step begins anew', () => {
  const stream = new Masker(['hunter22']).stream();
  stream.push(Buffer.from('hunter'));
  assert.equal(String(stream.flush()), 'hunter');
  assert.equal(stream.held, 0);
  assert.equal(String(stream.push(Buffer.from('22 hunter22'))), '22 [redacted]');
  assert.equal(stream.flush().length, 0);
  assert.equal(String(stream.push(Buffer.from('hunter22'))), '[redacted]');
});

test('release gives out what is held, and the rest of the secret is still masked', () => {
  const stream = new Masker(['hunter22']).stream();
  stream.push(Buffer.from('> hunt'));
  assert.equal(String(stream.release()), 'hunt');
  assert.equal(stream.held, 0);
  assert.equal(String(stream.push(Buffer.from('er22\n'))), '[redacted]\n');
  assert.equal(stream.release().length, 0);
});

test('with releases anywhere all text comes out, unless it is masked', () => {
  const property = fc.property(
    fc.array(fc.tuple(fc.constantFrom('a', 'aab', 'b', 'xx'), fc.boolean())),
    (steps) => {
      const stream = new Masker(['aaab', 'baba']).stream();
      const given = steps.flatMap(([text, isReleased]) => {
        const pushed = stream.push(Buffer.from(text));
        return isReleased ? [pushed, stream.release()] : [pushed];
      });
      const shown = Buffer.concat([...given, stream.flush()]).toString();
      const unmasked = shown.split('[redacted]').map((part) => part.replaceAll('?', '\\?'));
      assert.match(steps.map(([text]) => text).join(''), new RegExp(`^${unmasked.join('[ab]+')}$`));
    },
  );
  fc.assert(property);
});

test('secrets added in the middle are hidden from then on, also in what is held', () => {
  const masker = new Masker(['hunter22']);
  const stream = masker.stream();
  assert.equal(String(stream.push(Buffer.from('swordfish hunt'))), 'swordfish ');
  masker.add(['hunting', 'swordfish']);
  assert.equal(
    String(stream.push(Buffer.from('ing swordfish hunter22.'))),
    '[redacted] [redacted] [redacted].',
  );
  const late = new Masker();
  const open = late.stream();
  assert.equal(String(open.push(Buffer.from('hunter22 '))), 'hunter22 ');
  late.add(['hunter22']);
  assert.equal(String(open.push(Buffer.from('hunter22'))), '[redacted]');
});

test('a secret under way survives both a release and new secrets', () => {
  const masker = new Masker(['hunter22']);
  const stream = masker.stream();
  stream.push(Buffer.from('hunt'));
  stream.release();
  masker.add(['other secret']);
  assert.equal(String(stream.push(Buffer.from('er22!'))), '[redacted]!');
});

test('the lines of a value are hidden one by one, as a terminal prints them', () => {
  const masker = new Masker(['first line\nsecond line\n']);
  assert.equal(masker.maskText('first line\r\nsecond line\r\n'), '[redacted]\r\n[redacted]\r\n');
  assert.equal(masker.maskText('> second line <'), '> [redacted] <');
});

test('base64 in lines of any encoder is hidden', () => {
  const secret = Array.from({ length: 30 }, (_, index) => `line ${index} of a long key`).join('\n');
  const encoded = Buffer.from(secret).toString('base64');
  for (const [width, lineBreak] of [
    [60, '\n'],
    [64, '\n'],
    [76, '\r\n'],
  ] as const) {
    const text = (encoded.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).join(lineBreak);
    assert.equal(new Masker([secret]).maskText(`key:\n${text}\nend`), 'key:\n[redacted]\nend');
  }
});

test('a text is masked as the output is, and is the same object if nothing was', () => {
  const masker = new Masker(['pä$$wörd']);
  assert.equal(masker.maskText('--password=pä$$wörd ✓'), '--password=[redacted] ✓');
  assert.equal(masker.maskText('lone \ud800 surrogate'), 'lone \ud800 surrogate');
});

test('time is linear on input made to be slow', () => {
  const started = performance.now();
  const long = `${'a'.repeat(20_000)}b`;
  const text = Buffer.from('a'.repeat(1_000_000));
  for (const secrets of [['aaaab'], [long], [long, 'a'.repeat(10_000)]]) {
    const masker = new Masker(secrets);
    maskCut(masker, text, []);
    const stream = masker.stream();
    for (let index = 0; index < 200_000; index++) stream.push(text.subarray(index, index + 1));
    stream.flush();
  }
  const encoded = Buffer.from(`${Buffer.from(long).toString('base64').slice(0, 60)}\n`.repeat(10_000));
  maskCut(new Masker([long]), encoded, []);
  const seconds = (performance.now() - started) / 1000;
  assert.ok(seconds < 15, `${seconds} s; quadratic it would be minutes`);
});
