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
