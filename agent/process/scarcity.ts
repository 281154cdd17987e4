import { isScarcity } from '../../common/errors.ts';

/* What cannot be looked at, because no descriptor is left for it, is not gone. */

const retryMs = 50;

/** What a reader finds; undefined while there is no descriptor for it. */
export function readNow<Found>(read: () => Found): { readonly found: Found } | undefined {
  try {
    return { found: read() };
  } catch (error) {
    if (isScarcity(error)) return undefined;
    throw error;
  }
}

/** What a reader finds, at once or once there is a descriptor for it. */
export async function readPatiently<Found>(read: () => Found | Promise<Found>): Promise<Found> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!isScarcity(error)) throw error;
    }
    await new Promise((resume) => void setTimeout(resume, retryMs));
  }
}
