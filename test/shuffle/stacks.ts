import { idleService, type Stacks } from '../e2e/support.ts';

export const hosts = ['east', 'west'] as const;

/** A database with all hooks on it, which leave background jobs that end with them. */
const shop = {
  'compose.yaml': `
services:
  db:
    image: postgres:15
    network_mode: none
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: shop-secret, POSTGRES_DB: shop }
    stop_grace_period: 2s
`,
  'hooks.sh': ['export', 'import', 'cleanup']
    .flatMap((verb) => ['pre', 'post', 'fail'].map((when) => `hook_${when}_db_${verb}() { echo "$@"; }`))
    .join('\n'),
};

/** Something to build, with hooks that take their time, export, and fail now and then. */
const web = {
  Dockerfile: 'FROM busybox:local\nRUN echo built > /built\n',
  'compose.yaml': `
services:
  api:
    build: .
    image: web-api:local
    network_mode: none
    init: true
    command: sleep 100000
    stop_grace_period: 1s
`,
  'hooks.sh': `
slowly() { sleep "0.$((RANDOM % 8))"; (sleep 3 &) ; export SEEN=$((SEEN + 1)); echo "seen $SEEN"; }
hook_pre_up() { slowly; [[ $((RANDOM % 6)) != 0 ]]; }
hook_post_up() { slowly; }
hook_fail_up() { echo "failed: $KOMPOSE_FAILED_STEP"; }
hook_pre_restart() { slowly; }
hook_post_restart() { "$SCRIPT_DIR/kompose.sh" idle restart; }
hook_pre_down() { slowly; }
hook_fail_down() { slowly; }
hook_pre_exec() { slowly; }
hook_post_ps() { slowly; }
`,
};

const idle = {
  'compose.yaml': `${idleService}    init: true\n    command: sleep 100000\n    stop_grace_period: 1s\n`,
  'hooks.sh': 'hook_post_stop() { (setsid sleep 2 &); return $((RANDOM % 2)); }\n',
};

export const stacks: Stacks = Object.fromEntries(
  hosts.flatMap((host) => [
    [`${host}:shop`, shop],
    [`${host}:web`, web],
    [`${host}:idle`, idle],
  ]),
);
