import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KomposeError } from '../../common/errors.ts';
import type { StackStatus } from '../../common/inventory.ts';
import { capture } from '../process/capture.ts';

const label = (name: string): string => `{{json (.Label "com.docker.compose.${name}")}}`;
const format = `[${label('project.working_dir')},${label('service')}]`;

/**
 * Which services run, of all stacks of a root, by one question to the engine. Throws `failed` with docker's own
 * words when the engine does not answer.
 */
export async function askStatus(root: string, env: Readonly<Record<string, string>>): Promise<StackStatus[]> {
  const argv = ['docker', 'ps', '--filter', 'label=com.docker.compose.project', '--format', format] as const;
  const { exitCode, stdout, stderr } = await capture(argv, { env, timeoutMs: 10_000 });
  if (exitCode !== 0) throw new KomposeError('failed', stderr.split('\n')[0] ?? 'docker does not answer');
  const realRoot = await realpath(root);
  const services = new Map<string, Set<string>>();
  for (const line of stdout.split('\n').filter((each) => each !== '')) {
    const [folder = '', service = ''] = JSON.parse(line) as string[];
    if (dirname(folder) !== root && dirname(folder) !== realRoot) continue;
    const name = folder.slice(dirname(folder).length + 1);
    services.set(name, (services.get(name) ?? new Set()).add(service));
  }
  return [...services].map(([name, up]) => ({ name, servicesUp: [...up].toSorted() }));
}
