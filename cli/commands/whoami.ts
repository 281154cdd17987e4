import { keyFingerprint } from '../../common/audit/signed-head.ts';
import type { WhoAmIResponse } from '../../proto/gen/kompose/v1/fleet.ts';
import { askAuditHead } from '../audit-head.ts';
import type { Noun } from '../noun.ts';
import { showFields } from '../fields.ts';
import { timeOrNull, timeText } from '../output/values.ts';

export const whoami: Noun = {
  name: 'whoami',
  summary:
    'Prints your name, your role, the controller, when your certificate expires, and the fingerprints of its audit key, your signing key and the root of the roster.',
  verbs: [
    {
      name: '',
      summary: '',
      run: async (call) => {
        using fleet = await call.connect();
        const me = await fleet.ask<WhoAmIResponse>((answer) => fleet.client.whoAmI({}, answer));
        const { name, role, controllerVersion, certificateNotAfterUnixMs: end } = me;
        const controller = fleet.address;
        if (fleet.auditWitness.isBehind) await askAuditHead(fleet);
        const auditKey = fleet.auditWitness.fingerprint ?? null;
        const { key, root } = fleet.roster;
        const signing = { signingKey: keyFingerprint(key.publicKey), root };
        const json = {
          name,
          role,
          controller,
          expires: timeOrNull(end),
          controllerVersion,
          auditKey,
          ...signing,
        };
        return showFields(call, json, [
          ['name', name],
          ['role', role],
          ['controller', `${controller} (version ${controllerVersion})`],
          ['expires', timeText(end)],
          ['audit key', auditKey ?? ''],
          ['signing key', signing.signingKey],
          ['root', root],
        ]);
      },
    },
  ],
};
