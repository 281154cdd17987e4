/** What a program takes at one moment. */
export interface ProcessGauges {
  readonly uptimeMs: number;
  /** All memory that is resident, what is in use of JavaScript's heap, and what buffers take beside it. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly bufferBytes: number;
  /** Open files and sockets; 0 where the system does not tell. */
  readonly fileDescriptors: number;
  /** What Node waits for: sockets, timers, files, processes. */
  readonly handles: number;
  readonly loopDelay: LoopDelay;
}

/** How long what is ready waits for its turn, in microseconds. */
export interface LoopDelay {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** That, and what the program has under way; gauges.proto tells what each means of the controller and of an agent. */
export interface Gauges extends ProcessGauges {
  readonly links: number;
  readonly streams: number;
  readonly runs: number;
  readonly spooledBytes: number;
  readonly queuedRecords: number;
}
