import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { EmulatedScreen } from '../e2e/emulated-screen.ts';
import { Screen, type ScreenOptions } from '../e2e/screen.ts';
import { endFleet, startFleet, untilKnown, writeStacks } from '../e2e/support.ts';
import { kompose as program } from '../fleet/release.ts';

/* Section 2 of the command contract, the rows of `-o`, `-q`, `--no-color` and `-y`: what a user at a terminal sees. */
const ctrlC = '\u0003';
const escape = '\u001b';
const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));

/** Colours, moves the cursor, clears the screen, and ends without an end of line. */
const wild = String.raw`printf '\033[31mred\033[0m\033[2A\033[2J\rover\007written\nlast'`;
const untilReleased = 'until [ -e ../go ]; do sleep 0.02; done';
const stacks = {
  'prod-1:news': { 'hooks.sh': `hook_pre_config() { echo begins; ${untilReleased}; ${wild}; }\n` },
  'prod-1:sexy': {
    'hooks.sh': `hook_pre_config() { ${untilReleased}; echo no space left >&2; return 3; }\n`,
  },
  'prod-1:shop': {},
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);
const go = join(fleet.stacks('prod-1'), 'go');
beforeEach(() => rm(go, { force: true }));

const config = ['*', 'config', '--services'];

function kompose(args: readonly string[], { env = {}, ...size }: Partial<ScreenOptions> = {}): Screen {
  const { PATH = '', HOME = '/root' } = process.env;
  const own = { PATH, HOME, LANG: 'C.UTF-8', KOMPOSE_HOME: fleet.home, ...env };
  return new Screen([process.execPath, program, ...args], { env: own, ...size });
}

/** What the user sees in the end, with all that scrolled away. */
function seen({ text }: Screen, columns = 80, rows = 24): string {
  const screen = new EmulatedScreen(columns, rows);
  screen.write(text);
  return screen.text;
}

async function release(): Promise<void> {
  await writeFile(go, '');
}

describe('-o, --output live', { timeout: 120_000 }, () => {
  const sums = /1 of 3 done.*running/;

  it('shows each target and the sums while they go on, and leaves what plain shows', async () => {
    using screen = kompose(['-o', 'live', ...config], { columns: 100 });
    await screen.shows(/begins[^]*1 of 3 done.*running/);
    const during = seen(screen, 100);
    assert.match(during, /^1 of 3 done: 1 succeeded · 2 running/m);
    assert.match(during, /^. prod-1:news {2}hook_pre_config +\d+s {2}begins$/m);
    assert.match(during, /^✔ prod-1:shop {2}succeeded in \S+$/m);
    assert.ok(during.indexOf('prod-1:shop | api') < during.search(sums), 'output is above');
    await release();
    assert.equal(await screen.ends(), 1);
    const left = seen(screen, 100);
    assert.doesNotMatch(left, /hook_pre_config …/);
    assert.doesNotMatch(left, /of 3 done|✔|✘/);
    for (const line of ['prod-1:news | begins', 'prod-1:news | api', 'prod-1:shop | api']) {
      assert.equal(left.split(`${line}\n`).length, 2, line);
    }
    assert.match(
      left,
      /^failed {5}prod-1:sexy +\S+ +hook_pre_config ended with exit code 3: no space left$/m,
    );
    assert.match(left, /^3 targets: 1 failed, 2 succeeded in /m);
  });

  it('lets no output of a host move the cursor', async () => {
    using screen = kompose(['-o', 'live', ...config]);
    await screen.shows(sums);
    await release();
    await screen.ends();
    const left = seen(screen);
    for (const line of [/^prod-1:news \| over\\x07written$/m, /^prod-1:news \| last$/m])
      assert.match(left, line);
    assert.ok(!screen.text.includes(`${escape}[2J`));
  });

  it('fits a terminal that is made narrower', async () => {
    using screen = kompose(['-o', 'live', '--no-color', ...config], { columns: 100 });
    await screen.shows(sums);
    screen.resize(30, 24);
    await screen.shows(/1 of 3 done: 1 succeeded · 2…\r\n/);
    await release();
    assert.equal(await screen.ends(), 1);
  });

  it('says above it what Ctrl-C does, and is gone in the end', async () => {
    using screen = kompose(['-o', 'live', ...config]);
    await screen.shows(sums);
    screen.type(ctrlC);
    assert.equal(await screen.ends(), 130);
    assert.match(seen(screen, 400), /^cancelling .*\n[^]*^3 targets: 2 cancelled, 1 succeeded/m);
    assert.doesNotMatch(seen(screen), /of 3 done/);
  });

  it('leaves a clean screen at the second Ctrl-C', async (test) => {
    const slow = {
      'prod-1:slow': { 'hooks.sh': 'hook_pre_top() { trap "" TERM; echo begins; sleep 1000; }\n' },
    };
    test.after(() => rm(join(fleet.stacks('prod-1'), 'slow'), { recursive: true }));
    await writeStacks(fleet, slow);
    await untilKnown(fleet, slow);
    using screen = kompose(['-o', 'live', 'slow,shop', 'top']);
    await screen.shows(/1 of 2 done/);
    await screen.shows(/begins/);
    screen.type(ctrlC);
    await screen.shows(/cancelling/);
    screen.type(ctrlC);
    assert.equal(await screen.ends(), 130);
    assert.match(seen(screen, 400), /left the run: kompose runs attach \S+$/);
    assert.doesNotMatch(seen(screen), /of 2 done/);
  });

  it('is plain for one target: the bytes of the action as they are', async () => {
    await release();
    using screen = kompose(['-o', 'live', 'shop', 'config', '--services']);
    assert.equal(await screen.ends(), 0);
    assert.match(screen.text, /^api\r\nprod-1:shop \S*succeeded in \S+\r\n$/);
  });

  it('is plain where there is no terminal', async () => {
    await release();
    const { stdout, stderr } = await fleet.kompose(['-o', 'live', ...config]);
    assert.match(stdout, /^prod-1:shop \| api$/m);
    assert.ok(!`${stdout}${stderr}`.includes(escape));
  });
});

describe('-o, --output auto|live|plain|json: auto', { timeout: 60_000 }, () => {
  it('is live on a terminal, also when it is not written', async () => {
    for (const words of [[], ['-o', 'auto']]) {
      using screen = kompose([...words, ...config]);
      await screen.shows(/1 of 3 done/);
      await release();
      await screen.ends();
      await rm(go);
    }
  });

  it('is live in local mode, too', async () => {
    const env = { KOMPOSE_STACKS: fleet.stacks('prod-1'), ...fleet.rig.host('prod-1').env };
    using screen = kompose(['--local', ...config], { env });
    await screen.shows(/1 of 3 done/);
    await release();
    assert.equal(await screen.ends(), 1);
    assert.match(seen(screen), /^3 targets: 1 failed, 2 succeeded in /m);
  });

  for (const [what, words, env] of [
    ['on a dumb terminal', [], { TERM: 'dumb' }],
    ['with -o plain', ['-o', 'plain'], {}],
    ['with -q', ['-q'], {}],
    ['for a dry run', ['-n'], {}],
  ] as const) {
    it(`draws nothing in place ${what}`, async () => {
      await release();
      using screen = kompose([...words, ...config], { env });
      await screen.ends();
      assert.doesNotMatch(screen.text, / of 3 done/);
      assert.ok(!screen.text.includes(`${escape}[J`));
    });
  }

  it('is plain where only one of stdout and stderr is a terminal', async () => {
    await release();
    const { PATH = '' } = process.env;
    const env = { PATH, KOMPOSE_HOME: fleet.home };
    const script = '"$@" | cat';
    using screen = new Screen(['sh', '-c', script, 'sh', process.execPath, program, ...config], { env });
    await screen.ends();
    assert.ok(!screen.text.includes(`${escape}[J`));
  });
});

describe('a listing', { timeout: 60_000 }, () => {
  it('fits the width of a terminal, and says everything off one', async () => {
    const long = 'a-rather-long-name-of-a-service-that-is-not-there';
    await fleet.kompose(['shop', 'ps', long, `${long}-either`, `${long}-nor-this-one`]);
    for (const words of [
      ['runs', 'ls'],
      ['audit', 'ls'],
      ['-l', '*'],
    ]) {
      using screen = kompose(words, { columns: 80 });
      assert.equal(await screen.ends(), 0);
      const lines = screen.text.split('\r\n');
      assert.ok(lines.length > 2);
      for (const line of lines) assert.ok(line.length <= 80, line);
    }
    const { stdout } = await fleet.kompose(['runs', 'ls']);
    assert.match(stdout, new RegExp(`^\\w{26} .* shop ps ${long} ${long}-either ${long}-nor-this-one$`, 'm'));
  });
});

describe('--no-color', { timeout: 60_000 }, () => {
  const colours = new RegExp(`${escape}\\[[0-9;]*m`);
  for (const [what, words, env] of [
    ['--no-color', ['--no-color'], {}],
    ['NO_COLOR', [], { NO_COLOR: '1' }],
  ] as const) {
    it(`${what} takes the colours away, live and in the summary`, async () => {
      using screen = kompose([...words, 'shop,sexy', 'config', '--services'], { env });
      await screen.shows(/1 of 2 done/);
      await release();
      await screen.ends();
      assert.doesNotMatch(screen.text, colours);
    });
  }

  it('is the way it is off a terminal; on one there are colours', async () => {
    await release();
    using screen = kompose(config);
    await screen.ends();
    assert.match(screen.text, colours);
    const { stdout, stderr } = await fleet.kompose(['shop', 'config', '--services']);
    assert.doesNotMatch(`${stdout}${stderr}`, colours);
  });
});

describe('-y, --yes', { timeout: 60_000 }, () => {
  for (const command of [['down'], ['kill'], ['rm', '-f'], ['stop'], ['db:import'], ['db:cleanup']]) {
    it(`is asked for ${command[0]} on several targets on a terminal, before anything is drawn`, async () => {
      using screen = kompose(['*', ...command]);
      await screen.shows(/on these 3 targets\? \[y\/N\] /);
      assert.match(screen.text, /prod-1:news\r\n {2}prod-1:sexy\r\n {2}prod-1:shop\r\n/);
      screen.type('n\r');
      assert.equal(await screen.ends(), 1);
      assert.match(screen.text, /not confirmed: nothing was done/);
    });
  }

  it('goes on after a yes, and does not ask with -y, for one target, or off a terminal', async () => {
    using asked = kompose(['*', 'stop']);
    await asked.shows(/\[y\/N\] /);
    asked.type('y\r');
    assert.equal(await asked.ends(), 0);
    for (const args of [
      ['-y', '*', 'stop'],
      ['shop', 'stop'],
    ]) {
      using screen = kompose(args);
      assert.equal(await screen.ends(), 0);
      assert.doesNotMatch(screen.text, /\[y\/N\]/);
    }
    assert.equal((await fleet.kompose(['*', 'stop'])).exitCode, 0);
  });
});
