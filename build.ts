import { chmodSync, rmSync } from 'node:fs';
import { build, type BuildOptions, type Plugin } from 'esbuild';

/*
 * The release, in dist/: the three programs, and the parts that they load when a command needs them. Code that no
 * command of a start needs is split off, so that it is neither read nor compiled. The agent and the controller are
 * bundled apart: what they share with the command line would be split off, too, into many small files, and each is one
 * more that every command has to find and to link.
 */
const programs = ['kompose', 'kompose-agent', 'kompose-controller'];

const options: BuildOptions = {
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
};

/** Where the programs look for the bundles of the agent and the controller. */
const bundledApart: Plugin = {
  name: 'bundled apart',
  setup: (bundle) => {
    bundle.onResolve({ filter: /^\.\.\/(agent|controller)\/main\.ts$/ }, ({ path }) => {
      return { path: `./${path.split('/')[1]}.js`, external: true };
    });
  },
};

rmSync('dist', { recursive: true, force: true });
await build({
  ...options,
  entryPoints: programs.map((name) => ({ in: `bin/${name}.ts`, out: name })),
  plugins: [bundledApart],
});
await build({
  ...options,
  entryPoints: [
    { in: 'agent/main.ts', out: 'agent' },
    { in: 'controller/main.ts', out: 'controller' },
    { in: 'agent/database/hash-thread.ts', out: 'hash-thread' },
  ],
});
for (const name of programs) chmodSync(`dist/${name}.js`, 0o755);
