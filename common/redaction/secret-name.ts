const secretWords = 'PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIAL|DSN|DATABASE_URL|PRIVATE';

/** One of the words at the end of a `_`-part of the name; `PWD` only as a part that is not the first. */
const secretName = new RegExp(`(?:(?:${secretWords})S?|_PWDS?)(?:_|$)`, 'i');

/**
 * Whether the variable's name says that its value is a secret, by section 11 of the command contract:
 * `PGPASSWORD`, `api_keys` and `DB_PWD` do; `KEYBOARD`, `PWD` and `OLDPWD` do not.
 */
export function isSecretName(name: string): boolean {
  return secretName.test(name);
}

/** The values of the variables in `env` whose names say secret. */
export function secretValues(env: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(env).flatMap(([name, value]) =>
    value !== undefined && isSecretName(name) ? [value] : [],
  );
}
