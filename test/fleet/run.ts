import { execa } from 'execa';

/**
 * execa, for commands that end soon by themselves.
 *
 * With `cleanup` on, execa listens to SIGINT and SIGTERM while a command runs. A signal that comes just as the
 * command ends is then taken by a listener that is gone a moment later: it is lost, and the owner lives on.
 */
export const run = execa({ cleanup: false });
