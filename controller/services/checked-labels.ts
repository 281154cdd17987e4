import { checkLabelKey, checkLabelValue } from '../../common/names.ts';

/** Labels as they came over the wire. Throws `usage`. */
export function checkedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [checkLabelKey(key), checkLabelValue(value)]),
  );
}
