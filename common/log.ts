import { destination, pino, type Logger } from 'pino';

/** The log of a program that serves: JSON lines on stderr, each written before the call returns. */
export function createLog(program: 'agent' | 'controller'): Logger {
  return pino({ base: { program } }, destination({ dest: 2, sync: true }));
}
