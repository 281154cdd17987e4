import type { Image } from './images.ts';

/** A Docker host of a rig. */
export interface FleetHost {
  name: string;
  /** Where the host is reached from the machine and from the other hosts. */
  address: string;
  /** The engine's address for DOCKER_HOST; undefined: the docker client's own choice. */
  dockerHost: string | undefined;
  /** To be laid over the environment of each docker command and agent of this host. */
  env: Readonly<Record<string, string>>;
  /** The host's network namespace; undefined where it has none of its own. */
  netns: string | undefined;
  /** Put before an argv, it runs that program inside the host's network. */
  argvPrefix: readonly string[];
  /** Scratch space of the host, on a disk, removed with the rig. */
  folder: string;
}

/** Docker hosts on this machine. `stop`, or the end of its owner however it comes, leaves nothing of them. */
export interface Rig extends AsyncDisposable {
  readonly hosts: readonly FleetHost[];
  /** The address of this machine that the hosts can dial. */
  readonly controllerAddress: string;
  /** The host `name`; throws when the rig has no such. */
  host(name: string): FleetHost;
  /** Runs `docker ...args` on a host and gives its stdout; rejects with execa's error when it fails. */
  docker(name: string, args: readonly string[]): Promise<string>;
  /** Loads an image into the engines of all hosts. */
  loadImage(image: Image): Promise<void>;
  /** Stops a host's engine, with its containers. The host itself, and agents on it, stay up. */
  stopEngine(name: string): Promise<void>;
  /** Starts it again, with what it had; returns when it answers. */
  startEngine(name: string): Promise<void>;
  /** Cuts a host off: packets both ways are lost, open connections stay open. */
  cutLink(name: string): Promise<void>;
  /** Undoes it: packets pass when this returns. */
  healLink(name: string): Promise<void>;
  /**
   * Ends everything on the hosts at once (SIGKILL: containers, engines, agents) and removes all of it. Returns
   * when nothing is left; further calls wait for the first.
   */
  stop(): Promise<void>;
}

/** The element of `hosts` with this name. */
export function hostNamed<Host extends { name: string }>(hosts: readonly Host[], name: string): Host {
  const host = hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new Error(`no host "${name}": ${hosts.map((each) => each.name).join(', ')}`);
  return host;
}
