import type { Rig } from '../fleet.ts';
import { realGround } from './real-ground.ts';
import { sharedGround } from './shared-ground.ts';

/** Hosts for the demo, and a promise that nothing of it is left behind, however this process ends. */
export interface Ground {
  readonly rig: Rig;
  /** What is on the ground, in the words of a visitor. */
  readonly about: string;
  /** TMPDIR of all programs of the demo; it goes with the ground. */
  readonly folder: string;
  /** Marks a program as one that ends with the ground; to be laid over its environment. */
  readonly mark: Readonly<Record<string, string>>;
  /** What follows a stack's name in its compose project's: empty where each host has an engine of its own. */
  projectSuffix(host: string): string;
  /** Ends everything at once and removes it. */
  stop(): Promise<void>;
}

export interface GroundOptions {
  readonly hosts: readonly string[];
  readonly signal: AbortSignal;
  readonly report: (line: string) => void;
}

/** Root gets real hosts, with the engine installed if it is missing; anybody else shares the engine that is there. */
export function makeGround(options: GroundOptions): Promise<Ground> {
  return process.getuid?.() === 0 ? realGround(options) : sharedGround(options);
}
