import { removeContext } from '../contexts.ts';
import type { Noun } from '../noun.ts';

export const logout: Noun = {
  name: 'logout',
  summary: 'Forgets the login (--context names another than the current one).',
  verbs: [
    {
      name: '',
      summary: '',
      run: async ({ settings, globals, terminal }) => {
        const name = await removeContext(settings.userFolder, globals.context);
        if (!globals.quiet) terminal.stderr(`logged out of the context ${name}\n`);
        return 0;
      },
    },
  ],
};
