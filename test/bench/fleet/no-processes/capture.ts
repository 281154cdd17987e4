import type { Captured } from '../../../../agent/process/capture.ts';

/** Stands in for agent/process/capture.ts where light agents run: whatever asks for a version gets one. */
export async function capture(): Promise<Captured> {
  return { exitCode: 0, stdout: '2.40.0', stderr: '' };
}
