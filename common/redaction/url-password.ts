import { isSecretName } from './secret-name.ts';

/** `://user:password@`, where the authority ends at the first `/`, `?` or `#` (RFC 3986, section 3.2). */
const inAuthority = /:\/\/[^\s/?#@:]*:([^\s/?#]*)@/g;

/** `?password=...` and `&password=...`, as libpq and JDBC take it. */
const inQuery = /[?&]([^\s=&#?]+)=([^\s&#]*)/g;

/**
 * The passwords inside whatever looks like a URL in `text`: as they are written and percent-decoded. `text`
 * and the results are byte strings (one character a byte).
 */
export function urlPasswords(text: string): string[] {
  const start = text.indexOf('://');
  if (start === -1) return [];
  const written = [
    ...Array.from(text.matchAll(inAuthority), ([, password = '']) => password),
    ...Array.from(text.matchAll(inQuery), ([, name = '', value = '']) => (isSecretName(name) ? value : '')),
    unescapedPassword(text.slice(start + 3)),
  ];
  return written.flatMap((password) => [password, percentDecode(password)]);
}

/** Many clients take a password with a bare `/`, `?` or `#` too: everything up to the last `@`. */
function unescapedPassword(afterScheme: string): string {
  const colon = afterScheme.search(/[:/?#@]/);
  if (afterScheme[colon] !== ':') return '';
  return afterScheme.slice(colon + 1, Math.max(colon + 1, afterScheme.lastIndexOf('@')));
}

function percentDecode(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
