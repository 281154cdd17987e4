import { basename, dirname } from 'node:path';
import { startRig } from './rig.ts';

// A program for the rig's own test: it starts a rig, prints the name of the rig's folder, and waits for ever.

const rig = await startRig({ hosts: ['one', 'two'] });
const [host] = rig.hosts;
await rig.docker('one', ['run', '--detach', '--restart', 'always', 'alpine']);
console.log(basename(dirname(dirname(host?.folder ?? ''))));
setInterval(() => {}, 60_000);
