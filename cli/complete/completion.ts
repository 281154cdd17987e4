/** What the live fleet is asked for. */
export type Live =
  | { readonly kind: 'hosts' | 'labels' | 'targets' | 'runs' | 'tokens' | 'users' | 'roles' | 'contexts' }
  /** Of the stacks that this pattern matches. */
  | { readonly kind: 'services'; readonly pattern: string };

/** What may stand where the cursor is. */
export interface Completion {
  /** What every candidate bears before it: the terms of a list that are typed already. */
  readonly lead: string;
  /** How a candidate begins. */
  readonly typed: string;
  readonly words: readonly string[];
  readonly live: Live | undefined;
  /** Options typed so far, by their long names. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** The whole words that may stand there. Names with characters that would end a line are left out. Pure. */
export function candidatesOf({ lead, typed, words }: Completion, live: readonly string[]): string[] {
  const fitting = [...words, ...live].filter((word) => word.startsWith(typed) && !/\p{Cc}/u.test(word));
  return [...new Set(fitting)].map((word) => `${lead}${word}`);
}
