import { removeLeftovers, type Leftovers } from './leftovers.ts';

// The keeper of a demo on a shared engine: `shared-keeper.ts LEFTOVERS` (JSON), with the demo at the other end of
// stdin. When that hangs up (the demo ended, was interrupted or killed) it cleans up, and ends.

const [, , text] = process.argv;
if (text === undefined) throw new Error('usage: shared-keeper.ts LEFTOVERS');
const leftovers: Leftovers = JSON.parse(text);

process.stdin.resume();
process.stdin.on('close', () => {
  void removeLeftovers(leftovers);
});
