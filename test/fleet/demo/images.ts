import { buildImage, type Image } from '../images.ts';

/** What the demo's stacks run: stand-ins made of busybox, since there is no registry. */
export async function demoImages(): Promise<Image[]> {
  return [
    await buildImage({
      tag: 'demo-directus:local',
      files: {
        '/usr/bin/npx': { content: npx, mode: 0o755 },
        '/www/server/health': { content: '{"status":"ok"}\n' },
      },
      cmd: ['httpd', '-f', '-p', '8055', '-h', '/www'],
    }),
    await buildImage({
      tag: 'demo-web:local',
      files: {
        '/www/index.html': { content: 'hello\n' },
        '/www/api/cache/warm': { content: '  ✓ 42 pages are warm\n' },
      },
      cmd: ['httpd', '-f', '-p', '80', '-h', '/www'],
    }),
    await buildImage({
      tag: 'demo-redis:local',
      files: { '/usr/bin/redis-cli': { content: redisCli, mode: 0o755 } },
    }),
  ];
}

/** `npx directus schema snapshot [FILE]`, `npx directus schema apply FILE`. */
const npx = `#!/bin/sh
case "$*" in
'directus schema snapshot'*)
  printf 'version: 1\\ndirectus: 11.0.0\\ncollections:\\n  - collection: articles\\n' > "\${4:-/dev/stdout}" ;;
'directus schema apply '*) test -r "$4" ;;
*) echo "npx: $*: not in this stand-in" >&2; exit 1 ;;
esac
`;

const redisCli = `#!/bin/sh
case "$1" in
FLUSHALL) echo OK ;;
*) echo "redis-cli: $1: not in this stand-in" >&2; exit 1 ;;
esac
`;
