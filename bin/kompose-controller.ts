#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { main } = await import('../cli/main.ts');
process.exitCode = await main(['controller', ...process.argv.slice(2)], {
  agent: () => import('../agent/main.ts'),
  controller: () => import('../controller/main.ts'),
});
