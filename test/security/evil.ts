/** What a terminal, a log or a reader takes for something else than text. */
export const evilTexts: Readonly<Record<string, string>> = {
  'a line feed': 'a\nprod-2:db | all is well',
  'a carriage return': 'a\rb',
  'a cleared screen': 'a\u001b[2J\u001b[Hb',
  'a cursor that goes up': 'a\u001b[5A\u001b[1Gb',
  'a title': 'a\u001b]0;owned\u0007b',
  'a clipboard (OSC 52)': 'a\u001b]52;c;Y3VybCBldmlsfHNo\u0007b',
  'a sequence of C1': 'a\u009b2J\u0085b\u009d0;owned\u009c',
  'a device control string': 'a\u001bPq#0\u001b\\b',
  'a reset of the terminal': 'a\u001bcb',
  'a bell and a backspace': 'a\u0007\b\bb',
  'text turned around': 'a\u202etxt.exe\u2066b\u2069\u200f\u061c',
  'a separator of lines': 'a\u2028b\u2029c',
  NUL: 'a\0b',
  DEL: 'a\u007fb',
  'no end': 'x'.repeat(70_000),
};

/** Nothing in it but text, line ends and tabs. */
export function isHarmless(shown: string): boolean {
  return !/[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029\p{Cs}]/u.test(shown);
}

const colours = new RegExp(String.raw`\u001b\[[\d;:]*m`, 'g');

/** The same but for colours. */
export function isHarmlessInColour(shown: string): boolean {
  return isHarmless(shown.replaceAll(colours, ''));
}
