import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { build, type BuildOptions, type Plugin } from 'esbuild';

/*
 * The release, in dist/: the three programs, and the parts that they load when a command needs them. The programs and what
 * a command of the fleet needs (one file, `cli.cjs`) are CommonJS: Node's loader of ECMAScript modules is not even started
 * for them, each more file is one to find and to link, and each built-in module that is imported as ECMAScript hands out
 * all that it has, which loads more of them. In `cli.cjs` a module is run when it is first asked for. What serves a host
 * or the fleet for weeks, and all that few commands need, are ECMAScript modules that share their code.
 */
const programs = ['kompose', 'kompose-agent', 'kompose-controller'];

const options: BuildOptions = {
  outdir: 'dist',
  bundle: true,
  // Names stay: thousands of functions that are told theirs at run time would be a tenth of a command's start.
  minifySyntax: true,
  minifyWhitespace: true,
  platform: 'node',
  target: 'node24',
  // The first loads a binary of its own, from where npm put it; the other is for a service that is never offered.
  external: ['@lydell/node-pty', '@grpc/proto-loader'],
  legalComments: 'linked',
  logLevel: 'warning',
};

const inParts: BuildOptions = {
  ...options,
  format: 'esm',
  splitting: true,
  outExtension: { '.js': '.mjs' },
  // CommonJS dependencies ask for `require`, which ES modules do not have.
  banner: {
    js: "import { createRequire as komposeRequire } from 'node:module'; const require = komposeRequire(import.meta.url);",
  },
};

/** These are not part of the bundle, but parts beside it. */
function inOtherPart(filter: RegExp, nameOf: (path: string) => string | undefined): Plugin {
  return {
    name: 'in another part',
    setup: (bundle) => {
      bundle.onResolve({ filter }, ({ path }) => ({ path: `./${nameOf(path)}.mjs`, external: true }));
    },
  };
}

/** `../agent/main.ts` is `agent.mjs`. */
const mains = inOtherPart(/^\.\.\/(agent|cli|controller)\/main\.ts$/, (path) => path.split('/')[1]);
/** With the code of the agent, or of certificates: no command of the fleet asks for them. */
const otherCommands = inOtherPart(/\/(local|script|certificate-request)\.ts$/, (path) =>
  path.split('/').at(-1)?.replace('.ts', ''),
);

const commandsCompiled = standIn(
  /^\.\.\/cli\/all\.ts$/,
  `import { join } from 'node:path';
  import { runCompiled } from './bin/run-compiled.ts';
  export const { main } = runCompiled(join(__dirname, 'cli.cjs'));`,
);

/** commander starts programs for subcommands that are files of their own: there are none. */
const noPrograms = standIn(/^node:child_process$/, 'module.exports = {};', /\/commander\//);

/** Puts a text in the place of a module. */
function standIn(filter: RegExp, contents: string, importer = /./): Plugin {
  const namespace = `in place of ${filter.source}`;
  return {
    name: namespace,
    setup: (bundle) => {
      bundle.onResolve({ filter }, ({ path, importer: asking }) =>
        importer.test(asking) ? { path, namespace } : undefined,
      );
      bundle.onLoad({ filter: /./, namespace }, () => ({ contents, resolveDir: import.meta.dirname }));
    },
  };
}

rmSync('dist', { recursive: true, force: true });
await build({
  ...options,
  format: 'cjs',
  entryPoints: programs.map((name) => ({ in: `bin/${name}.ts`, out: name })),
  define: { 'import.meta.dirname': '__dirname' },
  plugins: [mains, commandsCompiled],
});
await build({
  ...options,
  format: 'cjs',
  entryPoints: [{ in: 'cli/all.ts', out: 'cli' }],
  outExtension: { '.js': '.cjs' },
  // It is run as a script, which has no `import()` (bin/run-compiled.ts): other parts come by `require`.
  supported: { 'dynamic-import': false },
  plugins: [otherCommands, noPrograms],
});
await build({
  ...inParts,
  entryPoints: [
    { in: 'agent/main.ts', out: 'agent' },
    { in: 'cli/main.ts', out: 'cli' },
    { in: 'controller/main.ts', out: 'controller' },
    { in: 'agent/database/hash-thread.ts', out: 'hash-thread' },
    { in: 'cli/commands/local.ts', out: 'local' },
    { in: 'cli/commands/script.ts', out: 'script' },
    { in: 'proto/certificate-request.ts', out: 'certificate-request' },
  ],
});
for (const name of programs) chmodSync(`dist/${name}.js`, 0o755);
// Comes last: where it is, all is there.
writeFileSync('dist/package.json', '{ "type": "commonjs" }\n');
