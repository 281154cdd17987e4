import { secretValues } from './secret-name.ts';

/**
 * The secrets that a request itself shows: values of -e with a secret name, and arguments of the form NAME=VALUE with
 * one (`exec -e PGPASSWORD=… db psql`).
 */
export function argumentSecrets({
  env,
  args,
}: {
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
}): string[] {
  const assigned = args.flatMap((argument): [string, string][] => {
    const match = /^(?:--?[A-Za-z-]+=?)?([A-Za-z_][A-Za-z0-9_]*)=(.+)$/s.exec(argument);
    return match?.[1] === undefined || match[2] === undefined ? [] : [[match[1], match[2]]];
  });
  return [...secretValues(env), ...assigned.flatMap(([name, value]) => secretValues({ [name]: value }))];
}
