import type { OutputBytes } from '../../common/task-event.ts';
import type { Call } from '../call.ts';
import { tellMissing } from './missing-output.ts';
import { jsonRenderer } from './json.ts';
import { liveRenderer } from './live/live.ts';
import { plainRenderer } from './plain.ts';
import type { Renderer } from './sink.ts';

/** What `-o` asks for; the caller disposes of it before anything else is written. `onMissing` hears of output that is gone. */
export function rendererFor(
  call: Call,
  onMissing: (missing: OutputBytes) => void = () => undefined,
): Renderer {
  const { terminal, style, globals } = call;
  if (globals.output === 'json') return tellMissing(jsonRenderer(terminal, style.quiet), onMissing);
  const isLive = canBeLive(call);
  return tellMissing(isLive ? liveRenderer(terminal, style) : plainRenderer(terminal, style), onMissing);
}

/** Where there is no screen to draw on, `live` is `plain`: a script is not to fail for its looks. */
function canBeLive({ terminal, style, globals, settings }: Call): boolean {
  if (style.quiet || settings.term === 'dumb' || !terminal.isStderrTerminal) return false;
  // A pager or another program may draw on the same screen.
  return globals.output === 'live' || (globals.output === 'auto' && style.sharedTerminal);
}
