import { cleanUp, withRigLock } from './cleanup.ts';

// The keeper of a rig: `keeper.ts FOLDER`, with its owner at the other end of stdin. When that hangs up (the
// owner stopped the rig, ended, threw, was interrupted or killed) it cleans up, and ends.

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('usage: keeper.ts FOLDER');

process.stdin.resume();
process.stdin.on('close', () => {
  void withRigLock(() => cleanUp(folder));
});
