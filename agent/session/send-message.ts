import type { AgentMessage } from '../../proto/gen/kompose/v1/agent_link.ts';

/** Sends over the link; after its end nothing. */
export type SendMessage = (kind: NonNullable<AgentMessage['kind']>) => void;
