import { sizeText } from '../../common/size-text.ts';

const periodMs = 2000;
/** At most one line in this part of the time that it has taken so far: a day's dump is not told of 40,000 times. */
const shareOfElapsed = 0.05;
const longestGapMs = 60_000;

/** Where something long has got to. */
export interface Position {
  readonly bytes: number;
  /** If it is known. */
  readonly totalBytes?: number;
}

/**
 * Tells how far something is and how fast it went since the last time: about every two seconds at first, less often
 * the longer it takes, once a minute at the least. `position` is undefined when it cannot be told. The result ends it.
 */
export function tellProgress(
  verb: string,
  position: () => Promise<Position | undefined>,
  tell: (text: string) => void,
  now: () => number,
): () => void {
  const startMs = now();
  let last = { ms: startMs, bytes: 0 };
  let isOver = false;
  const look = async (): Promise<void> => {
    if (now() - last.ms < gapMs(last.ms - startMs)) return;
    const at = await position().catch(() => undefined);
    if (at === undefined || isOver) return;
    const ms = now();
    tell(progressText(verb, at, ((at.bytes - last.bytes) * 1000) / Math.max(1, ms - last.ms)));
    last = { ms, bytes: at.bytes };
  };
  const timer = setInterval(() => void look(), periodMs);
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}

/** How long there is nothing to be told after a line that came `elapsedMs` after the beginning. */
export function gapMs(elapsedMs: number): number {
  return Math.min(longestGapMs, elapsedMs * shareOfElapsed);
}

/** `dumped 120 MB, 60 MB/s`; `restored 120 MB of 494 MB (24 %), 60 MB/s`; at the end of a known whole, that it waits. */
export function progressText(verb: string, { bytes, totalBytes }: Position, bytesPerSecond: number): string {
  const rate = `${sizeText(bytesPerSecond)}/s`;
  if (totalBytes === undefined) return `${verb} ${sizeText(bytes)}, ${rate}`;
  if (bytes >= totalBytes) return `all ${sizeText(totalBytes)} read, the server is still at work on it`;
  const share = Math.floor((bytes / totalBytes) * 100);
  return `${verb} ${sizeText(bytes)} of ${sizeText(totalBytes)} (${share} %), ${rate}`;
}
