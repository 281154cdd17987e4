import { access, constants, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KomposeError } from '../common/errors.ts';
import { createCertificateRequest, openEnrolment, unary } from '../proto/enrol.ts';
import type { JoinResponse } from '../proto/gen/kompose/v1/enrolment.ts';
import { saveMembership, type AgentConfig } from './config.ts';

export interface JoinRequest {
  readonly token: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The stacks root, as typed. */
  readonly stacks: string;
  /** In place of the membership that this machine has. */
  readonly again: boolean;
}

/**
 * Makes this machine a host of the fleet: checks the stacks root, gets a certificate, stores both. Nothing is
 * stored, and the token not used, when the stacks root will not do.
 */
export async function joinFleet(request: JoinRequest, folder: string): Promise<AgentConfig> {
  const stacks = await checkStacksRoot(request.stacks);
  if (!request.again) await refuseSecondJoin(folder);
  const { client, address, addresses, secret, root } = await openEnrolment(request.token);
  try {
    const { privateKey, request: certificateRequest } = await createCertificateRequest();
    const { name, labels } = request;
    const message = { tokenSecret: secret, name, labels: { ...labels }, certificateRequest };
    const answer = await unary<JoinResponse>(address, (callback) => client.join(message, callback));
    const config: AgentConfig = { name, stacks, addresses, labels: answer.labels, root };
    const { certificate, caCertificates: caCertificate } = answer;
    await saveMembership(folder, config, { privateKey, certificate, caCertificate });
    return config;
  } finally {
    client.close();
  }
}

async function refuseSecondJoin(folder: string): Promise<void> {
  const path = join(folder, 'config.json');
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  throw new KomposeError('conflict', `this machine is a host already (${path}): give --replace to join anew`);
}

/** The real, absolute path of a folder that this user can read. Throws `usage`. */
async function checkStacksRoot(typed: string): Promise<string> {
  const path = resolve(typed);
  const root = await realpath(path).catch((error: unknown) => {
    throw new KomposeError('usage', `--stacks ${typed}: there is no such folder`, { cause: error });
  });
  if (!(await stat(root)).isDirectory())
    throw new KomposeError('usage', `--stacks ${typed}: this is not a folder`);
  await access(root, constants.R_OK | constants.X_OK).catch((error: unknown) => {
    throw new KomposeError('usage', `--stacks ${typed}: this user cannot read it`, { cause: error });
  });
  return root;
}
