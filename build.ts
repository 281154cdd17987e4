import { chmodSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

/*
 * The release: one bundled file a program in dist/, and the parts that they load when a command needs them. Code
 * that no command of a start needs is split off, so that it is neither read nor compiled.
 */
const programs = ['kompose', 'kompose-agent', 'kompose-controller'];

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: [
    ...programs.map((name) => ({ in: `bin/${name}.ts`, out: name })),
    { in: 'agent/database/hash-thread.ts', out: 'hash-thread' },
  ],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  // Names stay: thousands of functions that are told theirs at run time would be a tenth of a command's start.
  minifySyntax: true,
  minifyWhitespace: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // Loads a binary of its own, from where npm put it.
  external: ['@lydell/node-pty'],
  legalComments: 'linked',
  // CommonJS dependencies ask for `require`, which ES modules do not have.
  banner: {
    js: "import { createRequire as komposeRequire } from 'node:module'; const require = komposeRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
for (const name of programs) chmodSync(`dist/${name}.js`, 0o755);
