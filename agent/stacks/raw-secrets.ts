import { isSecretName } from '../../common/redaction/secret-name.ts';

/**
 * The values of secret variables as they stand in the text of a `.env` file, unexpanded and without their quotes: for
 * masking what is said of a file that could not be read to its end.
 */
export function rawSecrets(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.+?)\s*$/.exec(line);
    const [, name = '', value = ''] = match ?? [];
    return isSecretName(name) ? [value, value.replace(/^(["'])(.*)\1$/, '$2')] : [];
  });
}
