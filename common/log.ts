import { destination, pino, type DestinationStream, type Logger } from 'pino';
import { escapedJson } from './printable.ts';

/** The log of a program that serves: JSON lines on stderr, each written before the call returns. */
export function createLog(program: 'agent' | 'controller', to: DestinationStream = stderr()): Logger {
  const streamWrite = (line: string): string => `${escapedJson(line.trimEnd())}\n`;
  return pino({ base: { program }, hooks: { streamWrite } }, to);
}

function stderr(): DestinationStream {
  return destination({ dest: 2, sync: true });
}
