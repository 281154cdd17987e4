import { randomInt } from 'node:crypto';
import { keyFingerprint } from '../../common/audit/signed-head.ts';
import { joinEntry, rootEntry } from '../../common/roster/entry.ts';
import { createSigningKey } from '../../common/signing/signing-key.ts';
import { createCertificateRequest, openEnrolment, unary } from '../../proto/enrol.ts';
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
  const { addresses, address, secret, key, root, user, client } = await openEnrolment(token);
  try {
    const { privateKey, request } = await createCertificateRequest();
    const signingKey = createSigningKey();
    const name = chosenName(user);
    const rosterEntry =
      root === '' ? rootEntry(name, signingKey) : joinEntry(name, signingKey.publicKey, key);
    const message = { tokenSecret: secret, certificateRequest: request, name, rosterEntry };
    const answer = await unary<LoginResponse>(address, (callback) => client.login(message, callback));
    const { certificate, caCertificates: caCertificate, role, auditKey } = answer;
    const signing = { signingKey, root: root || keyFingerprint(signingKey.publicKey) };
    const context = { addresses, name, role, caCertificate, certificate, privateKey, ...signing };
    const knownKey = auditKey === '' ? undefined : keyFingerprint(auditKey);
    await saveContext(settings.userFolder, contextName, context, knownKey);
    say(call, `logged in to ${address} as ${name} (${role})`);
    return 0;
  } finally {
    client.close();
  }
}

/** A token that leaves the end of the name open has a `*` there. */
function chosenName(user: string): string {
  const letters = Array.from({ length: 6 }, () => String.fromCharCode(97 + randomInt(26)));
  return user.replace(/\*$/, letters.join(''));
}
