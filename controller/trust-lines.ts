import type { AuthorityView, Laggard, TrustView } from './rotation.ts';

const states = {
  signs: 'signs',
  retiring: 'the old one: trusted until kompose controller ca finish',
} satisfies Record<AuthorityView['state'], string>;

/** A line each, or one JSON object a line. Pure. */
export function trustLines({ authorities, laggards }: TrustView, isJson: boolean): string {
  const isRotating = authorities.length > 1;
  if (isJson) {
    const objects = [
      ...authorities.map(({ untilMs, ...each }) => ({ kind: 'ca', ...each, until: timeText(untilMs) })),
      ...laggards.map(({ lastSeenMs, ...each }) => ({ ...each, lastSeen: timeText(lastSeenMs) ?? null })),
    ];
    return objects.map((each) => `${JSON.stringify(each)}\n`).join('');
  }
  const lines = [
    ...authorities.map(
      ({ id, state, untilMs }) => `ca    ${id}  until ${timeText(untilMs)}  ${states[state]}`,
    ),
    ...laggards.map((each) => `${each.kind}  ${each.name}  ${stateOf(each, isRotating)}`),
  ];
  if (isRotating && laggards.length === 0)
    lines.push('everybody trusts the new one: kompose controller ca finish');
  return lines.map((line) => `${line}\n`).join('');
}

function stateOf(laggard: Laggard, isRotating: boolean): string {
  const seen = laggard.kind === 'user' ? '' : ` (last seen ${timeText(laggard.lastSeenMs) ?? 'never'})`;
  if (laggard.trust === 'with-dropped')
    return `still trusts a CA that was dropped, until it is seen next${seen}`;
  if (isRotating) return `does not trust the new CA yet${seen}`;
  return `does not trust the CA${seen}: ${remedy(laggard)}`;
}

/** Of somebody who cannot come back by themselves. */
export function remedy({ kind, name }: Laggard): string {
  if (kind === 'user') return `kompose users remove ${name}, then kompose users add ${name} --role ROLE`;
  return `kompose tokens create --role agent --replace ${name}, then on it kompose agent join TOKEN --replace`;
}

function timeText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
