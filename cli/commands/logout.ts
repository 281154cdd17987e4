import { removeContext } from '../contexts.ts';
import { say } from '../call.ts';
import type { Noun } from '../noun.ts';

export const logout: Noun = {
  name: 'logout',
  summary: 'Forgets the login (--context names another than the current one).',
  verbs: [
    {
      name: '',
      summary: '',
      run: async (call) => {
        const name = await removeContext(call.settings.userFolder, call.globals.context);
        say(call, `logged out of the context ${name}`);
        return 0;
      },
    },
  ],
};
