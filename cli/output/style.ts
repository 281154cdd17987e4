const codes = {
  red: '31',
  green: '32',
  yellow: '33',
  blue: '34',
  magenta: '35',
  cyan: '36',
  brightYellow: '93',
  brightCyan: '96',
  dim: '2',
} as const;

export type Colour = keyof typeof codes;
export type Paint = (colour: Colour, text: string) => string;

/** How to show things: the user's wishes and what the two streams can do. */
export interface Style {
  /** Drop kompose's own lines; failures stay. */
  readonly quiet: boolean;
  readonly colour: { readonly stdout: boolean; readonly stderr: boolean };
  /** Which of the two somebody looks at on a terminal. */
  readonly onTerminal: { readonly stdout: boolean; readonly stderr: boolean };
  /** Both streams end on the same terminal. */
  readonly sharedTerminal: boolean;
  /** Nobody keeps a record of the run to be asked for. */
  readonly isUnrecorded?: boolean;
}

export function painter(isColoured: boolean): Paint {
  return isColoured ? (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m` : (_, text) => text;
}
