import { globSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../bench/fleet/child.ts';
import { joinInBulk } from '../bench/fleet/join-in-bulk.ts';
import type { LightHost } from '../bench/fleet/light-agent.ts';
import type { LightAgentQuestions } from '../bench/fleet/light-agents.ts';
import { frugalEnv, frugalNode } from '../../agent/unit.ts';
import { relayingEnv, relayingNode } from '../../controller/unit.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/** The agents of real hosts: `prod-2`'s vanishes and returns. */
export const realHosts = ['prod-1', 'prod-2'] as const;
/** On a busy machine, for all light agents of a process. */
const longestLinkingMs = 180_000;
/** Light agents that stay, and those that vanish and return together. */
const staying = 450;
const leaving = 50;

/** Stands in for what compose would do: `logs` prints four megabytes, `logs -f` a line now and then until it is ended. */
const action = `case "$*" in
  logs*-f*) for ((line = 0; ; line++)); do echo "line $line"; sleep 0.5; done ;;
  logs*) head -c 4000000 /dev/zero | tr '\\0' x | fold -w 99 ;;
  *) echo "$*" ;;
esac
`;
const hooks = 'hook_pre_up() { echo before; }\nhook_post_up() { echo after; }\n';

/** With the arguments and the environment that their units give them. */
function startAsUnits(stubs: StubFleet): void {
  stubs.nodeArgsOf['controller'] = relayingNode;
  stubs.envOf['controller'] = relayingEnv;
  for (const host of realHosts) {
    stubs.nodeArgsOf[host] = frugalNode;
    stubs.envOf[host] = frugalEnv;
  }
}

/** A process of the fleet. */
export interface Program {
  readonly name: string;
  /** Whose gauges are its own; empty for the controller, undefined of what has none. */
  readonly host: string | undefined;
  readonly pid: number;
  /** It is never started anew, so that what it takes can be followed. */
  readonly stays: boolean;
}

/** The released programs: a controller, two agents that begin processes, and 500 light ones in two processes. */
export class SoakFleet implements AsyncDisposable {
  readonly stubs: StubFleet;
  readonly #hosts: readonly LightHost[];
  readonly #root: string;
  #staying: Child<LightAgentQuestions> | undefined;
  #leaving: Child<LightAgentQuestions> | undefined;
  /** One of each process of light agents that there was. */
  readonly #folders: string[] = [];

  private constructor(stubs: StubFleet, hosts: readonly LightHost[], root: string) {
    this.stubs = stubs;
    this.#hosts = hosts;
    this.#root = root;
  }

  /** Resolves when all are linked. `nodeOptions` are the controller's and the agent's that stays. */
  static async start(nodeOptions: string): Promise<SoakFleet> {
    const stubs = await StubFleet.start(...realHosts);
    try {
      for (const host of realHosts) {
        for (const stack of ['sexy', 'news'])
          await stubs.writeStack(host, stack, { 'action.sh': action, 'hooks.sh': hooks });
      }
      const [me] = await stubs.objects('whoami');
      await stubs.stopController();
      const names = Array.from(
        { length: staying + leaving },
        (_, at) => `light-${String(at).padStart(3, '0')}`,
      );
      const hosts = await joinInBulk(join(stubs.home('controller'), 'controller'), names);
      stubs.env['NODE_OPTIONS'] = nodeOptions;
      startAsUnits(stubs);
      await stubs.startController();
      const fleet = new SoakFleet(stubs, hosts, String(me?.['root']));
      fleet.#staying = await fleet.#link(hosts.slice(0, staying));
      await fleet.lightReturn();
      await stubs.untilOnline('prod-1');
      await stubs.stopAgent('prod-1', 'SIGTERM');
      await stubs.startAgent('prod-1');
      for (const host of realHosts) await stubs.untilOnline(host);
      return fleet;
    } catch (error) {
      await stubs.stop();
      throw error;
    }
  }

  /** Rejects, with none of them left, where they are not all linked in time. */
  async #link(hosts: readonly LightHost[]): Promise<Child<LightAgentQuestions>> {
    const child = new Child<LightAgentQuestions>('light-agents.ts');
    const timer = setTimeout(() => void child.kill('SIGTERM'), longestLinkingMs);
    try {
      this.#folders.push(await child.ask('start', { address: this.stubs.address, root: this.#root, hosts }));
      return child;
    } catch (error) {
      await child.kill('SIGTERM');
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Fifty light agents go without a word. */
  async lightVanish(): Promise<void> {
    const gone = this.#leaving;
    this.#leaving = undefined;
    await gone?.kill('SIGTERM');
  }

  /** They are back, as agents that know of nothing before. */
  async lightReturn(): Promise<void> {
    this.#leaving = await this.#link(this.#hosts.slice(staying));
  }

  /** What serves, as it is now; the pid is 0 of what is away. */
  get programs(): readonly Program[] {
    const light = (child: Child<LightAgentQuestions> | undefined): number => child?.pid ?? 0;
    const { stubs } = this;
    return [
      { name: 'controller', host: '', pid: stubs.controllerPid, stays: true },
      { name: 'agent', host: 'prod-1', pid: stubs.agentPid('prod-1'), stays: true },
      { name: 'agent, killed at times', host: 'prod-2', pid: stubs.agentPid('prod-2'), stays: false },
      { name: `${staying} light agents`, host: 'light-000', pid: light(this.#staying), stays: true },
      {
        name: `${leaving} light, away at times`,
        host: `light-${staying}`,
        pid: light(this.#leaving),
        stays: false,
      },
    ];
  }

  /** Where agents keep what their tasks have told: nothing, once nothing runs. */
  get taskFolders(): readonly string[] {
    const light = this.#folders.flatMap((folder) => globSync(`${folder}/*/tasks`));
    return [...realHosts.map((host) => join(this.stubs.home(host), 'agent/tasks')), ...light];
  }

  get hostCount(): number {
    return this.#hosts.length + realHosts.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#staying?.kill('SIGTERM'), this.lightVanish()]);
    await this.stubs.stop();
  }
}
