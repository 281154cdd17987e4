import { isSecretName } from './secret-name.ts';

/** `NAME=value` where bash takes it for an assignment: the name, and the value quoted in either way or bare. */
const assignment =
  /(?:^|[\s;&|({`])([A-Za-z_]\w*)\+?=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|((?:[^\s;&|()`"'\\]|\\.)+))/gm;

/**
 * The values that a script of bash gives to variables whose names say secret, as they stand there; what is computed
 * (`$(…)`, `$OTHER`) is none.
 */
export function scriptSecrets(script: string): string[] {
  return [...script.matchAll(assignment)].flatMap(([, name = '', double, single, bare]) => {
    const value = double ?? single ?? bare ?? '';
    return isSecretName(name) && !value.startsWith('$') ? [value] : [];
  });
}
