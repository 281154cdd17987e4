import { KomposeError } from '../../common/errors.ts';
import { quoted } from '../../common/quoted.ts';
import { scripts } from '../complete/scripts.ts';
import type { Noun } from '../noun.ts';

export const completion: Noun = {
  name: 'completion',
  summary: 'Prints what a shell sources to complete kompose: bash, zsh or fish.',
  verbs: [
    {
      name: '',
      words: '<shell>',
      summary: '',
      run: async ({ terminal }, [shell = '']) => {
        const script = Object.entries(scripts).find(([name]) => name === shell)?.[1];
        if (script === undefined) throw unknownShell(shell);
        terminal.stdout(script);
        return 0;
      },
    },
  ],
};

function unknownShell(shell: string): KomposeError {
  const known = Object.keys(scripts).join(', ');
  return new KomposeError('usage', `no completion for the shell ${quoted(shell)}: there is ${known}`);
}
