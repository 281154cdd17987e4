import { Metadata } from '@grpc/grpc-js';
import { protocolMetadataKey, protocolVersion } from '../../../proto/protocol-version.ts';

/** The metadata of a client that speaks this version, or another. */
export function versionMetadata(version: number | string = protocolVersion): Metadata {
  const metadata = new Metadata();
  metadata.set(protocolMetadataKey, String(version));
  return metadata;
}
