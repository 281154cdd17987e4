import { Metadata } from '@grpc/grpc-js';
import type { SignedMark } from '../common/audit/signed-head.ts';
import { AuditHead } from './gen/kompose/v1/audit.ts';

const key = 'kompose-audit-head-bin';

/** What the controller's answers to users end with. */
export function headMetadata(head: SignedMark | undefined): Metadata {
  const metadata = new Metadata();
  addHead(metadata, head);
  return metadata;
}

export function addHead(metadata: Metadata, head: SignedMark | undefined): void {
  if (head !== undefined) metadata.set(key, Buffer.from(AuditHead.encode(head).finish()));
}

/** Undefined where there is none, or none that can be read. */
export function headOf(metadata: Metadata): SignedMark | undefined {
  const [bytes] = metadata.get(key);
  try {
    return typeof bytes === 'object' ? AuditHead.decode(bytes) : undefined;
  } catch {
    return undefined;
  }
}
