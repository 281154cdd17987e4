import type { GetAuditHeadResponse } from '../proto/gen/kompose/v1/fleet.ts';
import type { Fleet } from './client.ts';

/** The head of the audit, signed now; a change of the key that signs it is followed. */
export async function askAuditHead(fleet: Fleet): Promise<GetAuditHeadResponse> {
  const answer = await fleet.ask<GetAuditHeadResponse>((done) => fleet.client.getAuditHead({}, done));
  fleet.auditWitness.follow(answer.keyChanges);
  if (answer.head !== undefined) fleet.auditWitness.saw(answer.head);
  return answer;
}
