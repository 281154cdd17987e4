import { environmentLine, environmentLines, execLine, type SystemdUnit } from '../common/systemd-unit.ts';

export interface ControllerService {
  /** The whole command line of `controller serve`. */
  readonly argv: readonly string[];
  /** The controller's state folder, the only one that it writes to. */
  readonly folder: string;
  readonly komposeHome: string;
  /** The folder's owner. */
  readonly user: string;
}

/**
 * Node's arguments for a controller through which much output passes. Each piece takes memory outside of V8's heap; left
 * alone, V8 gives it back when 64 MiB are there, and looks through the whole heap each time, which is large where the
 * fleet is: half of the controller's processor time. In a small young heap it is found soon; but a run on all hosts fills
 * that with what dies young: at 4 MiB cleaning it took a tenth of the processor's time more than at 8. What has lived for
 * as long as a run is found by looking through all; V8 would let that grow to some hundred megabytes first.
 */
export const relayingNode: readonly string[] = [
  '--max-semi-space-size=8',
  '--external-memory-accounted-in-global-limit',
  '--heap-growing-percent=40',
];

/** Its environment: each thread of Node's would have a heap of its own, and give nothing of it back. */
export const relayingEnv: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };

/** The controller as a service: it needs its folder and the network, and gets nothing else. Pure. */
export function controllerUnit({ argv, folder, komposeHome, user }: ControllerService): SystemdUnit {
  return {
    name: 'kompose-controller',
    unit: ['Description=kompose controller', 'After=network-online.target', 'Wants=network-online.target'],
    service: [
      'Type=exec',
      `ExecStart=${execLine(argv)}`,
      environmentLine('KOMPOSE_HOME', komposeHome),
      ...environmentLines(relayingEnv),
      `User=${user}`,
      'Restart=always',
      'RestartSec=2',
      'UMask=0077',
      'LimitNOFILE=65536',
      'AmbientCapabilities=CAP_NET_BIND_SERVICE',
      'CapabilityBoundingSet=CAP_NET_BIND_SERVICE',
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'ProtectHome=read-only',
      `ReadWritePaths=${execLine([folder])}`,
      'PrivateTmp=yes',
      'PrivateDevices=yes',
      'ProtectClock=yes',
      'ProtectHostname=yes',
      'ProtectControlGroups=yes',
      'ProtectKernelLogs=yes',
      'ProtectKernelModules=yes',
      'ProtectKernelTunables=yes',
      'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
      'RestrictNamespaces=yes',
      'RestrictRealtime=yes',
      'RestrictSUIDSGID=yes',
      'LockPersonality=yes',
      'SystemCallArchitectures=native',
    ],
  };
}
