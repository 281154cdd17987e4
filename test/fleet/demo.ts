import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { LeftBehind, playDemo } from './demo/play-demo.ts';
import { say } from './demo/stage.ts';

/*
 * `npm run demo`: three Docker hosts, a controller, agents, and a tour of the commands. It checks what it shows: exit
 * code 0 means that all came out as told, 1 that something did not. `-- --keep` leaves the fleet to play with until
 * Ctrl-C. Nothing is left behind, however it ends.
 */
const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) return; // it is cleaning up already
    process.exitCode = 128 + constants.signals[signal];
    interrupt.abort();
    say('\ncleaning up …', 'dim');
  });
}
process.stdout.on('error', () => process.exit(1)); // nobody reads on; the keepers clean up

try {
  const { keep } = parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values;
  await playDemo({ keep, signal: interrupt.signal });
  process.exitCode = 0; // with --keep, Ctrl-C is the end that was meant
} catch (error) {
  // what an interrupt breaks is no news
  if (!interrupt.signal.aborted || error instanceof LeftBehind) {
    say(`\n✗ ${error instanceof Error ? error.message : String(error)}`, 'red');
    process.exitCode = 1;
  }
}
process.exit(); // pipes of what was killed may still hold the process open
