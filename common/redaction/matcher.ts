import { Automaton } from './automaton.ts';
import { GramFilter } from './gram-filter.ts';
import type { SecretPatterns } from './secret-patterns.ts';

/** The patterns made ready for search; immutable, shared by all streams. */
export class Matcher {
  readonly literal: Automaton;
  readonly base64: Automaton;
  readonly filter: GramFilter;

  constructor(patterns: SecretPatterns) {
    this.literal = new Automaton(patterns.literal);
    this.base64 = new Automaton(patterns.base64);
    this.filter = new GramFilter([...patterns.literal, ...patterns.base64]);
  }
}
