/** No more than this many typing errors are still the same word. */
const maxDistance = 4;

/**
 * The `candidates` that someone who typed `word` may have meant, best first: those that begin with it, then by
 * Damerau-Levenshtein distance (optimal string alignment: no letter is moved twice), at most one error for every
 * three letters; ties stay in the candidates' order. Upper and lower case count as the same, and so do a letter and
 * the same with an accent.
 */
export function nearest(word: string, candidates: Iterable<string>, limit = 3): string[] {
  const wanted = plain(word);
  if (wanted === '') return [];
  const threshold = Math.min(maxDistance, Math.floor((wanted.length + 1) / 3));
  return Array.from(new Set(candidates), (name) => rank(wanted, name, threshold))
    .filter(({ isPrefixed, distance }) => isPrefixed || distance <= threshold)
    .toSorted((a, b) => Number(b.isPrefixed) - Number(a.isPrefixed) || a.distance - b.distance)
    .slice(0, Math.max(0, limit))
    .map(({ name }) => name);
}

function plain(word: string): string {
  return word.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();
}

function rank(wanted: string, name: string, threshold: number) {
  const candidate = plain(name);
  const isPrefixed = candidate.startsWith(wanted);
  const missing = Math.abs(candidate.length - wanted.length);
  const isDecided = isPrefixed || missing > threshold;
  return { name, isPrefixed, distance: isDecided ? missing : editDistance(wanted, candidate) };
}

/** How many letters to add, drop, change or swap with their neighbour; three rows of the usual table. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const change = at(last, column - 1) + (isSame ? 0 : 1);
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      const swap = row > 1 && column > 1 && isSwapped ? at(beforeLast, column - 2) + 1 : Infinity;
      current.push(Math.min(at(last, column) + 1, at(current, column - 1) + 1, change, swap));
    }
    beforeLast = last;
    last = current;
  }
  return at(last, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
