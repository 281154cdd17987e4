import type * as fc from 'fast-check';

/** One thing that happens in a world under test, by a name of its own. */
export class Happening<Model extends object, World> implements fc.AsyncCommand<Model, World> {
  readonly #name: string;
  readonly #check: (model: Model) => boolean;
  readonly #happen: (world: World, model: Model) => Promise<void> | void;

  constructor(
    name: string,
    happen: (world: World, model: Model) => Promise<void> | void,
    check: (model: Model) => boolean = () => true,
  ) {
    this.#name = name;
    this.#happen = happen;
    this.#check = check;
  }

  check(model: Readonly<Model>): boolean {
    return this.#check(model);
  }

  async run(model: Model, world: World): Promise<void> {
    await this.#happen(world, model);
  }

  toString(): string {
    return this.#name;
  }
}
