/** RFC 3339 with milliseconds, for programs; 0 on the wire means never. */
export function timeOrNull(unixMs: number): string | null {
  return unixMs === 0 ? null : new Date(unixMs).toISOString();
}

/** Local time to the second, for people; empty for never. */
export function timeText(unixMs: number): string {
  if (unixMs === 0) return '';
  const date = new Date(unixMs);
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}

/** To the minute and without the year, where there is little room. */
export function briefTimeText(unixMs: number): string {
  return timeText(unixMs).slice('2026-'.length, '2026-01-02 03:04'.length);
}

function two(part: number): string {
  return String(part).padStart(2, '0');
}

/** `env=prod zone=a`, by name. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(' ');
}
