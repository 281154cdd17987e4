import { execa } from 'execa';
import { kompose } from '../fleet/release.ts';
import { markdownTable } from './document.ts';
import { describe, measureInTurn, type Bench, type Samples } from './measure.ts';

const rounds = 41;
const limit = 1.5;

interface Result {
  readonly samples: Readonly<Record<string, Samples>>;
  readonly ratio: number;
}

/** How long one waits for the program itself. */
export const bench: Bench<Result> = {
  about: 'start of the command line (release build), beside Node that does nothing',
  async run(report) {
    const node = (...args: string[]) => execa(process.execPath, args, { stdin: 'ignore' });
    const samples = await measureInTurn(rounds, {
      'node -e 0': () => node('-e', '0'),
      'kompose --version': () => node(kompose, '--version'),
      'kompose --help': () => node(kompose, '--help'),
    });
    for (const each of Object.values(samples)) report(describe(each));
    const medianMs = (name: string): number => samples[name]?.medianMs ?? Number.NaN;
    const ratio = medianMs('kompose --version') / medianMs('node -e 0');
    report(`kompose --version: ${ratio.toFixed(2)} times node -e 0`);
    return { samples, ratio };
  },
  inDocs: ({ samples, ratio }) => {
    const rows = Object.values(samples).map(({ name, medianMs, minMs, maxMs }) => {
      return [`\`${name}\``, medianMs.toFixed(1), `${minMs.toFixed(1)}–${maxMs.toFixed(1)}`];
    });
    const table = markdownTable([['what', 'ms, median', 'least to most'], ...rows]);
    return `${table}\n\n\`kompose --version\` takes ${ratio.toFixed(2)} times what \`node -e 0\` takes.`;
  },
  targets: ({ ratio }) => [
    {
      what: 'CLI start (`--version`): time, of `node -e 0`',
      limit: `at most ${limit}`,
      measured: ratio.toFixed(2),
      isMet: ratio <= limit,
    },
  ],
};
