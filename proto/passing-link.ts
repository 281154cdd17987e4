import { makeGenericClientConstructor } from '@grpc/grpc-js';
import {
  AgentLinkService,
  AgentMessage,
  ControllerMessage,
  TaskControl,
  TaskReport,
  type AgentLinkClient,
} from './gen/kompose/v1/agent_link.ts';
import { copyingOnce, short } from './passing.ts';

/** `AgentLinkClient`, which copies what is reported once. */
export const PassingAgentLinkClient = makeGenericClientConstructor(
  {
    ...AgentLinkService,
    attach: { ...AgentLinkService.attach, requestSerialize: short(AgentMessage) },
    report: { ...AgentLinkService.report, requestSerialize: copyingOnce(TaskReport) },
  },
  'kompose.v1.AgentLink',
) as unknown as typeof AgentLinkClient;

/** `AgentLinkService`, which copies what is typed once. */
export const passingAgentLinkService = {
  ...AgentLinkService,
  attach: { ...AgentLinkService.attach, responseSerialize: short(ControllerMessage) },
  report: { ...AgentLinkService.report, responseSerialize: copyingOnce(TaskControl) },
} as const;
