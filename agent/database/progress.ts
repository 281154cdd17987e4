const periodMs = 2000;

/** Where something long has got to. */
export interface Position {
  readonly bytes: number;
  /** If it is known. */
  readonly totalBytes?: number;
}

/**
 * Tells about every two seconds how far something is and how fast it went since the last time. `position` is
 * undefined when it cannot be told. The result ends it.
 */
export function tellProgress(
  verb: string,
  position: () => Promise<Position | undefined>,
  tell: (text: string) => void,
  now: () => number,
): () => void {
  let last = { ms: now(), bytes: 0 };
  let isOver = false;
  const look = async (): Promise<void> => {
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

/** `dumped 120 MB, 60 MB/s`; `restored 120 MB of 494 MB (24 %), 60 MB/s` */
export function progressText(verb: string, { bytes, totalBytes }: Position, bytesPerSecond: number): string {
  const share = totalBytes === undefined || totalBytes === 0 ? undefined : bytes / totalBytes;
  const whole = share === undefined ? '' : ` of ${sizeText(totalBytes)} (${Math.floor(share * 100)} %)`;
  return `${verb} ${sizeText(bytes)}${whole}, ${sizeText(bytesPerSecond)}/s`;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Three digits and a decimal unit: `1.23 GB`, `45.6 MB`, `789 B`. */
export function sizeText(bytes: number | undefined): string {
  let value = bytes ?? 0;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const text = unit === 0 || value >= 1000 ? String(Math.round(value)) : value.toPrecision(3);
  return `${text} ${units[unit] ?? ''}`;
}
