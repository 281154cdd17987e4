import { keyFingerprint } from '../../common/audit/signed-head.ts';
import { createCertificateRequest } from '../../proto/certificate-request.ts';
import { openEnrolment, unary } from '../../proto/enrol.ts';
import type { LoginResponse } from '../../proto/gen/kompose/v1/enrolment.ts';
import { say, type Call } from '../call.ts';
import { checkContextName, ensureUserFolder, saveContext } from '../contexts.ts';
import type { Noun } from '../noun.ts';

export const login: Noun = {
  name: 'login',
  summary: "Stores this user's certificate, by a token of kompose tokens create; --context names the login.",
  verbs: [
    {
      name: '',
      words: '<token>',
      summary: '',
      run: (call, [token = '']) => storeLogin(call, token),
    },
  ],
};

/** The folder comes first: a token can be used once, and not for a certificate that cannot be kept. */
async function storeLogin(call: Call, token: string): Promise<number> {
  const { settings, globals } = call;
  const contextName = checkContextName(globals.context ?? 'default');
  await ensureUserFolder(settings.userFolder);
  const { addresses, address, secret, caCertificate, client } = await openEnrolment(token);
  try {
    const { privateKey, request } = await createCertificateRequest();
    const answer = await unary<LoginResponse>(address, (callback) =>
      client.login({ tokenSecret: secret, certificateRequest: request }, callback),
    );
    const { certificate, name, role, auditKey } = answer;
    const context = { addresses, name, role, caCertificate, certificate, privateKey };
    const knownKey = auditKey === '' ? undefined : keyFingerprint(auditKey);
    await saveContext(settings.userFolder, contextName, context, knownKey);
    say(call, `logged in to ${address} as ${name} (${role})`);
    return 0;
  } finally {
    client.close();
  }
}
