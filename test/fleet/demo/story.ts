import type { Act } from './act.ts';
import type { Monitoring } from './monitoring.ts';
import { expect } from './surprise.ts';
import type { Containers, Witness } from './witness.ts';

const nothing = { 'prod-1': [], 'prod-2': [], 'staging-1': [] };
const onlySexyOnProd1 = { ...nothing, 'prod-1': ['sexy_api'] };
const allButShop = {
  'prod-1': ['news_web', 'sexy_api'],
  'prod-2': ['blog_app', 'blog_cache', 'sexy_api'],
  'staging-1': ['news_web'],
};
const all = { ...allButShop, 'staging-1': ['news_web', 'shop_web'] };

/** What the audit must have when it is shown: `host:stack hook exit-code`, sorted. */
const hooks = [
  'prod-1:news hook_post_up 0',
  'prod-1:sexy hook_post_up 0',
  'prod-1:sexy hook_post_up 0',
  'prod-1:sexy hook_pre_restart 0',
  'prod-1:sexy hook_pre_up 0',
  'prod-1:sexy hook_pre_up 0',
  'prod-2:blog hook_post_up 0',
  'prod-2:sexy hook_post_up 0',
  'prod-2:sexy hook_pre_up 0',
  'staging-1:news hook_post_up 0',
  'staging-1:shop hook_pre_up 0',
  'staging-1:shop hook_pre_up 1',
];

/** The commands of the demo, in order, and the one that ends it. */
export function story(witness: Witness, monitoring: Monitoring): { acts: Act[]; finale: Act } {
  const run = (expected: Containers) => async (): Promise<string> => {
    expect('containers that run', await witness.running(), expected);
    return `the engines run ${inWords(expected)}`;
  };
  const heard = (status: string): string => {
    const expected = ['prod-1', 'staging-1'].map(
      (host) => `{"host": "${host}", "stack": "news", "status": "${status}"}`,
    );
    expect('what the monitoring system heard', monitoring.heard.splice(0).toSorted(), expected);
    return `the monitoring system heard from the hooks of news: ${status} on prod-1, ${status} on staging-1`;
  };

  const acts: Act[] = [
    {
      about: ['The hosts: on each runs an agent that has dialled the controller and waits for work.'],
      line: 'kompose hosts',
    },
    {
      about: ['The stacks: a folder with a compose file is one; its hooks.sh defines hooks.'],
      line: 'kompose --list',
      check: run(nothing),
    },
    {
      about: ['What would happen? A dry run shows the plan and touches nothing.'],
      line: 'kompose -n --host prod-1 sexy up -d',
      check: run(nothing),
    },
    {
      about: [
        'One stack on one host: prod-2 has a sexy, too, and --host leaves it alone.',
        'First hook_pre_up, then docker compose, then hook_post_up.',
      ],
      line: 'kompose --host prod-1 sexy up -d',
      check: run(onlySexyOnProd1),
    },
    {
      about: [
        'Every stack on every host, on all hosts at once. Each line says where it comes from.',
        "shop's hook_pre_up misses a PAYMENT_KEY and fails: shop is not started, all others are.",
      ],
      line: 'kompose "*" up -d',
      exitCode: 1,
      check: async () => `${await run(allButShop)()}\n${heard('up')}`,
    },
    {
      about: ['Give shop what it misses. What looks like a secret by its name is never shown.'],
      line: 'kompose -e PAYMENT_KEY=sk-demo-42 shop up -d',
      check: run(all),
    },
    {
      about: ['Restart one stack on one host.'],
      line: 'kompose --host prod-1 sexy restart',
      check: async (since) => {
        const isRestarted = {
          'prod-1': await witness.startedSince(since, 'prod-1', 'sexy_api'),
          'prod-2': await witness.startedSince(since, 'prod-2', 'sexy_api'),
        };
        expect('whether sexy_api was restarted', isRestarted, { 'prod-1': true, 'prod-2': false });
        return 'sexy_api was restarted on prod-1, and not on prod-2';
      },
    },
    {
      about: ['What was run of late. kompose runs show ID tells more, kompose runs attach ID all output.'],
      line: 'kompose runs ls --limit 4',
    },
    {
      about: ['The audit: who did what, when, from where. Here the hooks that ran, and how each ended.'],
      line: `kompose audit ls | grep hook.finished | tr -s ' ' | cut -d' ' -f3-`,
      check: async () => {
        expect('hooks in the audit', await witness.hooks(), hooks);
        return `all ${hooks.length} hooks that ran are on record, the one that failed as well`;
      },
    },
    {
      about: ['A command inside a container. Its output comes back byte for byte.'],
      line: 'kompose --host prod-1 sexy exec -T api npx directus schema snapshot',
    },
    {
      about: ["With one target, the exit code of exec is the command's own."],
      line: "kompose shop exec -T web sh -c 'exit 7'",
      exitCode: 7,
    },
    {
      about: ['A typing mistake: nothing matches, nothing is run, and the nearest name is suggested.'],
      line: 'kompose sexi restart',
      exitCode: 3,
      check: run(all),
    },
  ];
  const finale: Act = {
    about: ['Everything down, everywhere. On a terminal kompose asks first; --yes is the answer.'],
    line: 'kompose --yes "*" down',
    check: async () => `${await run(nothing)()}\n${heard('down')}`,
  };
  return { acts, finale };
}

/** The engines run … */
function inWords(containers: Containers): string {
  const rows = Object.entries(containers).map(
    ([host, names]) => `${host.padEnd(10)} ${names.join(', ') || '-'}`,
  );
  const isNothing = Object.values(containers).every((names) => names.length === 0);
  return isNothing ? 'no container' : ['these containers:', ...rows].join('\n    ');
}
