import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A .cpuprofile, as V8 writes it, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** The node that each sample met. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** A function where it was called from, with all that it called. */
export interface Frame {
  readonly name: string;
  /** Microseconds, with those of its children. */
  readonly totalUs: number;
  readonly children: readonly Frame[];
}

/** The one profile in a folder. */
export async function readProfile(folder: string): Promise<CpuProfile> {
  const [name, ...others] = await readdir(folder);
  if (name === undefined || others.length > 0) throw new Error(`${folder} does not hold one profile`);
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile;
}

/** What the processor did, without the time that the process waited for something. */
export function busyFrames({ nodes, samples, timeDeltas }: CpuProfile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const selfUs = new Map<number, number>();
  for (const [at, id] of samples.entries()) selfUs.set(id, (selfUs.get(id) ?? 0) + (timeDeltas[at] ?? 0));
  const frameOf = ({ id, callFrame, children = [] }: ProfileNode): Frame => {
    const called = joined(children.flatMap((child) => byId.get(child) ?? []).map(frameOf)).filter(isBusy);
    const totalUs = called.reduce((sum, each) => sum + each.totalUs, selfUs.get(id) ?? 0);
    return { name: nameOf(callFrame), totalUs, children: called };
  };
  const [root] = nodes;
  if (root === undefined) throw new Error('the profile is empty');
  return withoutOwn(frameOf(root));
}

/** The root does nothing by itself. */
function withoutOwn({ name, children }: Frame): Frame {
  return { name, children, totalUs: children.reduce((sum, { totalUs }) => sum + totalUs, 0) };
}

function isBusy({ name, totalUs }: Frame): boolean {
  return totalUs > 0 && name !== '(idle)';
}

/** A function that is called from several places of another counts as one. */
function joined(frames: readonly Frame[]): Frame[] {
  const byName = Map.groupBy(frames, ({ name }) => name);
  return [...byName].map(([name, same]) => {
    const totalUs = same.reduce((sum, each) => sum + each.totalUs, 0);
    return {
      name,
      totalUs,
      children:
        same.length === 1 ? (same[0]?.children ?? []) : joined(same.flatMap(({ children }) => children)),
    };
  });
}

/** `take run-tasks.ts`: the file is enough to find it by. */
function nameOf({ functionName, url }: ProfileNode['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.startsWith('node:') ? url : (url.split('/').at(-1) ?? url);
  return `${name} ${file}`;
}
