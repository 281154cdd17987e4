import type { MaskBookmark } from '../../common/redaction/masker.ts';
import type { OutputStream } from '../../common/task-event.ts';

/** How far a stream of a step's raw output has been told of. */
export interface OutputMark {
  /** From this byte on it is to be read again, to go on. */
  readonly from: number;
  readonly mask: MaskBookmark;
  /** So many bytes of what masking then gives out have been told. */
  readonly skip: number;
}

export type OutputMarks = Readonly<Record<OutputStream, OutputMark>>;

const streamStart: OutputMark = { from: 0, mask: { back: 0, held: 0, endsWithMark: false }, skip: 0 };

export const outputStart: OutputMarks = { stdout: streamStart, stderr: streamStart };
