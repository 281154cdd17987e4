import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import type { Rig } from '../fleet/fleet.ts';
import { startRig } from '../fleet/rig.ts';
import { Screen } from './screen.ts';
import { kompose as program } from '../fleet/release.ts';

export interface LocalOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Stdin is a pipe that nobody writes into. */
  readonly isStdinOpen?: boolean;
}

/** A stacks root on a real Docker host that no controller knows of, and a user who has logged in nowhere. */
export class LocalRoot implements AsyncDisposable {
  readonly rig: Rig;
  readonly path: string;
  /** Where the temporary files of all that is run here go. */
  readonly temp: string;

  static async start(): Promise<LocalRoot> {
    const rig = await startRig({ hosts: ['here'] });
    const temp = await mkdtemp(join(rig.host('here').folder, 'tmp-'));
    return new LocalRoot(rig, join(rig.host('here').folder, 'stacks'), temp);
  }

  private constructor(rig: Rig, path: string, temp: string) {
    this.rig = rig;
    this.path = path;
    this.temp = temp;
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      const full = join(this.path, path);
      await mkdir(dirname(full), { recursive: true });
      await writeFile(full, content, { mode: path.endsWith('.sh') ? 0o750 : 0o644 });
    }
  }

  /** `kompose` in the root, to its end; stdin is empty unless given. Never rejects for an exit code. */
  kompose(args: readonly string[], options: LocalOptions = {}) {
    return this.#run([process.execPath, program, ...args], options);
  }

  /** `./kompose.sh`, as somebody types it. */
  script(args: readonly string[], options: LocalOptions = {}) {
    return this.#run(['./kompose.sh', ...args], options);
  }

  /** A line of bash in the root, in which `$KOMPOSE` is the program. */
  bash(line: string, options: LocalOptions = {}) {
    return this.#run(['bash', '-c', line], options);
  }

  /** `kompose` on a terminal. */
  screen(args: readonly string[], size: { rows?: number; columns?: number } = {}): Screen {
    return this.screenOf([process.execPath, program, ...args], size);
  }

  /** Any program on a terminal, in the root. */
  screenOf(argv: readonly string[], size: { rows?: number; columns?: number } = {}): Screen {
    const inRoot = ['bash', '-c', 'cd "$ROOT" && exec "$@"', 'bash', ...argv] as const;
    const [file = 'env', ...prefix] = this.rig.host('here').argvPrefix;
    return new Screen([file, ...prefix, ...inRoot], { env: this.#env(), ...size });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig.stop();
  }

  #run(argv: readonly string[], { cwd = this.path, env, input, isStdinOpen }: LocalOptions) {
    const [file = 'env', ...rest] = [...this.rig.host('here').argvPrefix, ...argv];
    return execa(file, rest, {
      cwd,
      env: { ...this.#env(), ...env },
      extendEnv: false,
      reject: false,
      timeout: 60_000,
      // kompose kills after ten seconds what missed its SIGTERM, as a child of bash may before it is another program.
      forceKillAfterDelay: 20_000,
      stripFinalNewline: false,
      ...(input === undefined ? { stdin: isStdinOpen === true ? 'pipe' : 'ignore' } : { input }),
    });
  }

  #env(): Record<string, string> {
    const { env, folder } = this.rig.host('here');
    const own = { KOMPOSE_HOME: join(folder, 'nobody'), TMPDIR: this.temp, ROOT: this.path };
    return { HOME: '/root', LANG: 'C.UTF-8', KOMPOSE: `${process.execPath} ${program}`, ...env, ...own };
  }
}
