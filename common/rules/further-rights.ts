import { optionsBeforeService } from '../terminal-command.ts';
import { commandProper } from './command-list.ts';

/** An argument that makes of a command more than its name says. */
export interface FurtherRight {
  /** As it is documented: `--output`. */
  readonly option: string;
  /** The command that must be allowed too; `*` for what reaches beyond the stack, into the host or its engine. */
  readonly needs: string;
}

interface Reach {
  readonly long: readonly string[];
  readonly short?: string;
  readonly needs: string;
}

const beyond = '*';

/** Options of docker compose 2 (looked up in 2.26 and the newest release) by command. */
const reaches: Readonly<Record<string, readonly Reach[]>> = {
  config: [{ long: ['--output'], short: 'o', needs: beyond }],
  build: [
    { long: ['--ssh', '--secret', '--builder', '--build-context', '--allow', '--output'], needs: beyond },
    { long: ['--push'], needs: 'push' },
  ],
  up: [{ long: ['--watch'], short: 'w', needs: 'watch' }],
  wait: [{ long: ['--down-project'], needs: 'down' }],
  rm: [{ long: ['--stop'], short: 's', needs: 'stop' }],
  run: [
    { long: ['--volume', '--volumes'], short: 'v', needs: beyond },
    { long: ['--publish'], short: 'p', needs: beyond },
    { long: ['--cap-add', '--env-from-file'], needs: beyond },
  ],
  exec: [{ long: ['--privileged'], needs: beyond }],
};

/** Global options of docker and compose: they stand before the command, but no version shall take them after it. */
const globalReach: Reach = {
  long: '--file --env-file --project-directory --project-name --profile --workdir --host --context --config'
    .concat(' --tls --tlscacert --tlscert --tlskey')
    .split(' '),
  needs: beyond,
};

/** In the order of the arguments. Rather too many than too few: a value that looks like an option counts as one. Pure. */
export function furtherRights(command: string, args: readonly string[]): FurtherRight[] {
  const proper = commandProper(command);
  const own = reaches[proper] ?? [];
  if (proper === 'exec' || proper === 'run') {
    return optionsBeforeService(proper, args).flatMap(({ name }) => rightsOf(name, own));
  }
  return args.flatMap((word) => rightsOf(word, [...own, globalReach]));
}

function rightsOf(word: string, known: readonly Reach[]): FurtherRight[] {
  const [name = ''] = word.split('=');
  return known.flatMap(({ long, short, needs }) => {
    const isShort = short !== undefined && new RegExp(`^-[a-zA-Z]*${short}`).test(word);
    const option = isShort ? `-${short}` : long.find((each) => each === name);
    return option === undefined ? [] : [{ option, needs }];
  });
}
