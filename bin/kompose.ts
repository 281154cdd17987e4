#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { main } = await import('../cli/main.ts');
const exitCode = await main(process.argv.slice(2), {
  agent: () => import('../agent/main.ts'),
  controller: () => import('../controller/main.ts'),
});
// grpc-js does not give up a connection that nobody answers: its socket would hold the process open.
for (const stream of [process.stdout, process.stderr]) await new Promise((done) => stream.write('', done));
process.exit(exitCode);
