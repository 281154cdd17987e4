import { KomposeError } from '../errors.ts';

/** Keys are state * 256 + byte in 32 bits. */
const mostStates = 2 ** 23;

/**
 * The automaton of Aho and Corasick ("Efficient string matching", 1975): a state is a beginning of a pattern,
 * and after each byte the state is the longest beginning that the bytes so far end with. So at any time no
 * occurrence under way can have begun more than `depth` bytes ago, and all time is linear in the input,
 * whatever the patterns. State 0 is the empty beginning.
 *
 * The trie's edges are in one hash table of 32-bit integers (open addressing), about 40 bytes a state: a dense
 * table would take 1 KiB a state, and a private key with its encoded forms has some 70,000 states.
 */
export class Automaton {
  readonly longestPattern: number;
  /** Edges from state 0, the most used. */
  readonly #first = new Int32Array(256);
  readonly #keys: Int32Array;
  readonly #children: Int32Array;
  readonly #shift: number;
  readonly #fallback: Int32Array;
  readonly #depth: Int32Array;
  readonly #match: Int32Array;

  constructor(patterns: readonly Uint8Array[]) {
    const states = countStates(patterns);
    if (states > mostStates) {
      throw new KomposeError('failed', 'the secret values are too long to be masked, some 300 KiB together');
    }
    const bits = Math.ceil(Math.log2(states * 2));
    this.#shift = 32 - bits;
    this.#keys = new Int32Array(2 ** bits);
    this.#children = new Int32Array(2 ** bits);
    this.#fallback = new Int32Array(states);
    this.#depth = new Int32Array(states);
    this.#match = new Int32Array(states);
    this.longestPattern = patterns.reduce((longest, pattern) => Math.max(longest, pattern.length), 0);
    this.#link(this.#grow(patterns));
  }

  /** The state after `byte`. */
  next(state: number, byte: number): number {
    for (let from = state; from !== 0; from = this.#fallback[from] ?? 0) {
      const child = this.#child(from, byte);
      if (child !== 0) return child;
    }
    return this.#first[byte] ?? 0;
  }

  /** The length of the state's beginning. */
  depth(state: number): number {
    return this.#depth[state] ?? 0;
  }

  /** The length of the longest pattern that ends here, 0 if none does. */
  match(state: number): number {
    return this.#match[state] ?? 0;
  }

  #child(state: number, byte: number): number {
    return this.#children[this.#slot(state * 256 + byte)] ?? 0;
  }

  /** Where the edge with this key is, or is to be put. No key is 0: the edges of state 0 are elsewhere. */
  #slot(key: number): number {
    const last = this.#keys.length - 1;
    let slot = Math.imul(key, 0x9e3779b1) >>> this.#shift;
    for (let found = this.#keys[slot]; found !== key && found !== 0; found = this.#keys[slot]) {
      slot = (slot + 1) & last;
    }
    return slot;
  }

  /** Builds the trie; the result has, for each state, its parent's state * 256 + the byte that led to it. */
  #grow(patterns: readonly Uint8Array[]): Int32Array {
    const origins = new Int32Array(this.#depth.length);
    let states = 1;
    for (const pattern of patterns) {
      let state = 0;
      for (const byte of pattern) {
        let child = state === 0 ? (this.#first[byte] ?? 0) : this.#child(state, byte);
        if (child === 0) {
          child = states++;
          this.#depth[child] = this.depth(state) + 1;
          origins[child] = state * 256 + byte;
          this.#connect(state, byte, child);
        }
        state = child;
      }
      this.#match[state] = pattern.length;
    }
    return origins;
  }

  #connect(state: number, byte: number, child: number): void {
    if (state === 0) {
      this.#first[byte] = child;
    } else {
      const slot = this.#slot(state * 256 + byte);
      this.#keys[slot] = state * 256 + byte;
      this.#children[slot] = child;
    }
  }

  /** Sets where each state falls back to: the longest beginning that its own, less the first byte, ends with. */
  #link(origins: Int32Array): void {
    for (const state of this.#statesByDepth()) {
      const origin = origins[state] ?? 0;
      const parent = origin >> 8;
      const fallback = parent === 0 ? 0 : this.next(this.#fallback[parent] ?? 0, origin & 255);
      this.#fallback[state] = fallback;
      this.#match[state] = Math.max(this.match(state), this.match(fallback));
    }
  }

  /** All states but 0, the shallow first (a counting sort). */
  #statesByDepth(): Int32Array {
    const places = new Int32Array(this.longestPattern + 2);
    for (const depth of this.#depth) places[depth + 1] = (places[depth + 1] ?? 0) + 1;
    for (let depth = 1; depth < places.length; depth++) {
      places[depth] = (places[depth] ?? 0) + (places[depth - 1] ?? 0);
    }
    const sorted = new Int32Array(this.#depth.length);
    this.#depth.forEach((depth, state) => {
      const place = places[depth] ?? 0;
      sorted[place] = state;
      places[depth] = place + 1;
    });
    return sorted.subarray(1);
  }
}

/** The number of different beginnings: sorted, each pattern adds what it does not share with the one before. */
function countStates(patterns: readonly Uint8Array[]): number {
  let states = 1;
  let previous: Uint8Array = new Uint8Array();
  for (const pattern of patterns.toSorted((a, b) => Buffer.compare(a, b))) {
    const before = previous;
    const differs = pattern.findIndex((byte, index) => byte !== before[index]);
    states += differs === -1 ? 0 : pattern.length - differs;
    previous = pattern;
  }
  return states;
}
