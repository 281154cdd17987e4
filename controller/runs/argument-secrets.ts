import { secretValues } from '../../common/redaction/secret-name.ts';
import type { RunRequest } from './run-request.ts';

/**
 * The secrets that the controller can tell from a request alone: values of -e with a secret name, and arguments of
 * the form NAME=VALUE with one (`exec -e PGPASSWORD=… db psql`). What only the host knows, only the host masks.
 */
export function argumentSecrets({ env, args }: Pick<RunRequest, 'env' | 'args'>): string[] {
  const assigned = args.flatMap((argument): [string, string][] => {
    const match = /^(?:--?[A-Za-z-]+=?)?([A-Za-z_][A-Za-z0-9_]*)=(.+)$/s.exec(argument);
    return match?.[1] === undefined || match[2] === undefined ? [] : [[match[1], match[2]]];
  });
  return [...secretValues(env), ...assigned.flatMap(([name, value]) => secretValues({ [name]: value }))];
}
