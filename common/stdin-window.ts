/** How far a client's stdin may be ahead of the action that reads it: what the parties between keep at most. */
export const stdinWindowBytes = 1024 * 1024;
