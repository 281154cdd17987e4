/*
 * How a value looks once a program has encoded it. All texts are byte strings (one character a byte), so that
 * they are compared, sliced and deduplicated as strings and are exact for any bytes.
 */

/** What the usual encoders escape; they differ in the marks they leave alone. */
const percentEncoded = [
  /[^A-Za-z0-9\-_.!~*'()]/g, // encodeURIComponent
  /[^A-Za-z0-9\-_.*]/g, // application/x-www-form-urlencoded, as the WHATWG has it
  /[^A-Za-z0-9\-_.~]/g, // RFC 3986's unreserved: Go, PHP, curl, jq
  /[^A-Za-z0-9\-_.~/]/g, // Python's quote
  /[^A-Za-z0-9\-_.!~*'();,/?:@&=+$#]/g, // encodeURI
];

/** Percent-encoded, with digits in upper and in lower case, a space as `%20` and as `+`. */
export function urlEncodedForms(bytes: string): string[] {
  return percentEncoded.flatMap((escaped) => {
    const lower = bytes.replace(escaped, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
    const upper = bytes.replace(
      escaped,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
    return [lower, upper, lower.replaceAll('%20', '+'), upper.replaceAll('%20', '+')];
  });
}

/** As `docker inspect` (JSON) and `docker compose config` (YAML, with `$` doubled) print it. */
export function quotedForms(bytes: string): string[] {
  return [bytes, bytes.replaceAll('$', '$$$$')].flatMap((text) => {
    const json = JSON.stringify(text).slice(1, -1);
    const goJson = json.replace(/[<>&]/g, (mark) => `\\u00${mark.charCodeAt(0).toString(16)}`);
    return [text, json, goJson, text.replaceAll("'", "''")];
  });
}

/**
 * What the value determines of any base64 text that holds it. Base64 writes 6 bits a character, so by the
 * number of bytes before the value (modulo 3) there are three texts. With k such bytes the value's bits are
 * those from 8k to 8(k + length); the characters that lie wholly within are the same whatever stands before
 * and behind: from character ceil(8k / 6) to floor(8(k + length) / 6). The ones at the two edges mix 2 or 4
 * bits of the value with a neighbour's and are not part of the form. Where the value is the end of what was
 * encoded, the last character is determined too, and the padding: so each alignment has up to three forms, the
 * second and third longer than the first. A value of 4 bytes or more has forms of 4 characters or more.
 */
export function base64Forms(bytes: string): string[] {
  const standard = [0, 1, 2].flatMap((before) => {
    const text = Buffer.from('\0'.repeat(before) + bytes, 'latin1').toString('base64');
    const first = Math.ceil((8 * before) / 6);
    const end = Math.floor((8 * (before + bytes.length)) / 6);
    return [text.slice(first, end), text.slice(first).replace(/=+$/, ''), text.slice(first)];
  });
  return [...standard, ...standard.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))];
}
