import { parsePattern } from '../../common/patterns.ts';
import type { Noun } from '../noun.ts';
import { hostOption, labelFilterOption } from '../options.ts';
import { limitOption } from '../listing.ts';
import { list } from './list.ts';

export const stacks: Noun = {
  name: 'stacks',
  summary: 'Lists what a pattern matches, by default everything.',
  verbs: [
    {
      name: '',
      words: '[pattern]',
      summary: '',
      options: () => [hostOption(), labelFilterOption(), limitOption()],
      run: async (call, [pattern = ''], { host = [], label = [], limit }) => {
        if (pattern !== '') parsePattern(pattern);
        return list(call, { pattern, hosts: host, labels: label }, limit);
      },
    },
  ],
};
