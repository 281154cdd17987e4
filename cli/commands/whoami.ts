import type { WhoAmIResponse } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Noun } from '../noun.ts';
import { showFields } from '../fields.ts';
import { timeOrNull, timeText } from '../output/values.ts';

export const whoami: Noun = {
  name: 'whoami',
  summary: 'Prints your name, your role, the controller and when your certificate expires.',
  verbs: [
    {
      name: '',
      summary: '',
      run: async (call) => {
        using fleet = await call.connect();
        const me = await fleet.ask<WhoAmIResponse>((answer) => fleet.client.whoAmI({}, answer));
        const { name, role, controllerVersion, certificateNotAfterUnixMs: end } = me;
        const controller = fleet.address;
        const auditKey = fleet.auditWitness.fingerprint ?? null;
        const json = { name, role, controller, expires: timeOrNull(end), controllerVersion, auditKey };
        return showFields(call, json, [
          ['name', name],
          ['role', role],
          ['controller', `${controller} (version ${controllerVersion})`],
          ['expires', timeText(end)],
          ['audit key', auditKey ?? ''],
        ]);
      },
    },
  ],
};
