import { base64Forms, quotedForms, urlEncodedForms } from './encoded-forms.ts';
import { urlPasswords } from './url-password.ts';

/** What stands in the place of a secret. */
export const mark = '[redacted]';

/** In code points; shorter values are left alone. */
export const shortestSecret = 4;

/** The byte sequences to hide, none of them twice. Each has at least 4 bytes. */
export interface SecretPatterns {
  /** To be found as they are. */
  readonly literal: readonly Uint8Array[];
  /** Pieces of base64 text, which an encoder may have broken into lines. */
  readonly base64: readonly Uint8Array[];
}

/**
 * What must not show if these values must not: the values, each line of them, the passwords in URLs (also
 * percent-decoded), and of each of these the quoted, URL-encoded and base64 forms. Blank lines are no secrets.
 */
export function secretPatterns(values: Iterable<string>): SecretPatterns {
  const literal = new Set<string>();
  const base64 = new Set<string>();
  for (const secret of partsToHide(values)) {
    for (const form of quotedForms(secret)) literal.add(form);
    for (const form of urlEncodedForms(secret)) literal.add(form);
    for (const form of base64Forms(secret)) base64.add(form);
  }
  // A secret that is part of the mark: with the mark as a pattern a marked text stays as it is.
  if ([...literal, ...base64].some((form) => mark.includes(form))) literal.add(mark);
  return { literal: Array.from(literal, toBytes), base64: Array.from(base64, toBytes) };
}

function partsToHide(values: Iterable<string>): Set<string> {
  const parts = new Set<string>();
  for (const value of values) {
    const bytes = Buffer.from(value).toString('latin1');
    const lines = bytes.split(/[\r\n]+/).filter((line) => /[^ \t]/.test(line));
    for (const part of [bytes, ...lines, ...urlPasswords(bytes)]) {
      if (characterCount(part) >= shortestSecret) parts.add(part);
    }
  }
  return parts;
}

function characterCount(bytes: string): number {
  return Array.from(toBytes(bytes).toString('utf8')).length;
}

function toBytes(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}
