import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import {
  createAuthority,
  createServerPair,
  identityUri,
  issueClientCertificate,
  type KeyPair,
} from '../../controller/identity/authority.ts';
import { createCertificateRequest } from '../../proto/certificate-request.ts';
import type { Identity } from '../../proto/enrol.ts';
import type { TestController } from '../integration/controller/test-controller.ts';

const dayMs = 86_400_000;

interface Forgery {
  readonly make: (controller: TestController) => Promise<Identity>;
  /** What is wrong with it, as its bearer and the audit are told. */
  readonly flaw: string;
}

/** Certificates in the name of the first admin, none of which that admin ever got. */
export const forgeries: Readonly<Record<string, Forgery>> = {
  'self-signed': { make: selfSigned, flaw: 'it is self-signed' },
  'signed with a user’s key in place of the CA’s': { make: byUser, flaw: 'it is self-signed' },
  'of another CA': { make: byOtherCa, flaw: 'it is of another CA' },
  'that has expired': {
    make: async (controller) => issued(controller, await ownAuthority(controller), Date.now() - 400 * dayMs),
    flaw: 'it has expired',
  },
  'that is not valid yet': {
    make: async (controller) => issued(controller, await ownAuthority(controller), Date.now() + 30 * dayMs),
    flaw: 'it is not valid yet',
  },
  'that is a server’s, such as the controller has': { make: ofServer, flaw: 'it is not for clients' },
};

/** By another key in the fleet CA's name. */
export async function inNameOfCa(controller: TestController): Promise<Identity> {
  const { privateKey } = await createAuthority(Date.now());
  return issued(controller, { privateKey, certificate: controller.caCertificate });
}

/** By the fleet's own CA, for somebody who never joined. */
export async function ofNobody(controller: TestController): Promise<Identity> {
  return issued(controller, await ownAuthority(controller));
}

async function ownAuthority({ folder, caCertificate }: TestController): Promise<KeyPair> {
  return { privateKey: await readFile(join(folder, 'ca.key'), 'utf8'), certificate: caCertificate };
}

async function issued(
  { caCertificate }: TestController,
  authority: KeyPair,
  nowMs = Date.now(),
): Promise<Identity> {
  const { privateKey, request } = await createCertificateRequest();
  const admin = { kind: 'user', name: 'admin' } as const;
  const { certificate } = await issueClientCertificate(authority, request, admin, 365 * dayMs, nowMs);
  return { privateKey, certificate, caCertificate };
}

async function byUser(controller: TestController): Promise<Identity> {
  const { identity } = await controller.admin();
  const forged = await issued(controller, identity);
  return { ...forged, certificate: forged.certificate + identity.certificate };
}

async function byOtherCa(controller: TestController): Promise<Identity> {
  return issued(controller, await createAuthority(Date.now()));
}

async function ofServer(controller: TestController): Promise<Identity> {
  const names = ['kompose-controller'];
  const server = await createServerPair(await ownAuthority(controller), names, Date.now());
  return { ...server, caCertificate: controller.caCertificate };
}

async function selfSigned({ caCertificate }: TestController): Promise<Identity> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const value = identityUri({ kind: 'user', name: 'admin' });
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=admin',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value }])],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const privateKey = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
  return { privateKey, certificate: certificate.toString('pem'), caCertificate };
}
