import { randomBytes } from 'node:crypto';

const blockBytes = 1024 * 1024;

/** Lines as a service logs them, of about 120 bytes; none holds a secret. */
export function* logText(bytes: number): Generator<Buffer> {
  const block = oneBlock();
  for (let left = bytes; left > 0; left -= blockBytes) yield block.subarray(0, Math.min(left, blockBytes));
}

function oneBlock(): Buffer {
  const lines: string[] = [];
  for (let size = 0, at = 0; size < blockBytes; at++) {
    const time = new Date(1_700_000_000_000 + at * 37).toISOString();
    const line = `${time} info request served id=${randomBytes(8).toString('hex')} path=/items/${at} status=200 ms=${at % 97}\n`;
    lines.push(line);
    size += line.length;
  }
  return Buffer.from(lines.join('')).subarray(0, blockBytes);
}
