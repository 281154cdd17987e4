import { environmentLine, environmentLines, execLine, type SystemdUnit } from '../common/systemd-unit.ts';

export interface AgentService {
  /** The whole command line of `agent serve`. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where its programs are, docker among them. */
  readonly path: string;
  readonly komposeHome: string;
  readonly user: string;
}

/**
 * Node's arguments that keep the agent small. Nearly all that it makes in a task is bytes of output, which V8 gives back
 * when it cleans the young part of its heap: a small one is cleaned often. What is under way counts to the old part, and
 * left alone, V8 lets that grow by so little where much passes that it searches all of it after each cleaning: that was
 * half of the agent's processor time. The compilers that optimize take 8 MB of Node's own code: what the agent looks at
 * twice a second would call for both within the first minute. While there is work the agent has the greater of them
 * (`common/work-and-rest.ts`), with which the lesser gains nothing. V8's threads beside Node's own help the collector, and
 * meanwhile the heap grows: a task's output takes as long without them, and 6 MB less. The collector is called by the
 * agent.
 */
export const frugalNode: readonly string[] = [
  '--max-semi-space-size=1',
  '--heap-growing-percent=200',
  '--no-maglev',
  '--no-turbofan',
  '--single-threaded',
  '--expose-gc',
];

/**
 * Its environment, to the same end: each thread of Node's would have a heap of its own, and what a start or a task has
 * freed goes back to the host at once.
 */
export const frugalEnv: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

/** What decides which engine the agent works with. */
const engineVariables = ['DOCKER_HOST', 'DOCKER_CONFIG', 'DOCKER_CONTEXT', 'DOCKER_CERT_PATH'];

/**
 * The agent as a service. Its hooks are the host's own code and keep their rights, sudo among them; what neither they
 * nor docker's client need is closed. Steps outlive a restart of the agent, so only its own process is ended. Pure.
 */
export function agentUnit({ argv, env, path, komposeHome, user }: AgentService): SystemdUnit {
  const engine = engineVariables.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [environmentLine(name, value)];
  });
  return {
    name: 'kompose-agent',
    unit: [
      'Description=kompose agent of this Docker host',
      'After=network-online.target docker.service',
      'Wants=network-online.target',
    ],
    service: [
      'Type=exec',
      `ExecStart=${execLine(argv)}`,
      environmentLine('KOMPOSE_HOME', komposeHome),
      environmentLine('PATH', path),
      ...environmentLines(frugalEnv),
      ...engine,
      `User=${user}`,
      'Restart=always',
      'RestartSec=5',
      // The host was removed from the fleet, or its place was taken: to come back is of no use.
      'RestartPreventExitStatus=5',
      'KillMode=process',
      'TimeoutStopSec=30',
      'LimitNOFILE=65536',
      'OOMScoreAdjust=-500',
      'ProtectClock=yes',
      'ProtectKernelLogs=yes',
      'ProtectKernelModules=yes',
      'RestrictRealtime=yes',
      'LockPersonality=yes',
      'SystemCallArchitectures=native',
    ],
  };
}
