import { stdinWindowBytes } from './stdin-window.ts';

/** Sends a piece of stdin; the last one says so. */
export type SendStdin = (data: Uint8Array, isEnd: boolean) => void;

const pieceBytes = 64 * 1024;

/**
 * Gives our stdin to the action of a run, never more than a window ahead of what it has taken. Nothing is read before
 * somebody asks for it, which is done only where one target's action reads stdin.
 */
export class StdinPump {
  readonly #source: AsyncIterable<Uint8Array>;
  #taken = 0;
  #room = Promise.withResolvers<void>();
  #isPumping = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source;
  }

  /** The action has taken so many bytes: the first word of this starts the pump. */
  progress(taken: number, send: SendStdin): void {
    this.#taken = taken;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    if (this.#isPumping) return;
    this.#isPumping = true;
    // What cannot be read any more has ended; the link's loss is told by its events.
    void this.#pump(send).catch(() => send(new Uint8Array(), true));
  }

  async #pump(send: SendStdin): Promise<void> {
    let sent = 0;
    for await (const chunk of this.#source) {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        while (sent + piece.length - this.#taken > stdinWindowBytes) await this.#room.promise;
        send(piece, false);
        sent += piece.length;
      }
    }
    send(new Uint8Array(), true);
  }
}
