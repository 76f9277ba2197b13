/** Names and ids that this wire takes, made from those that it refuses; each keeps its own. */

const REFUSED = /[^a-zA-Z0-9_-]/g;
const ACCEPTED = /^[a-zA-Z0-9_-]+$/;

/** What the wire takes in place of a text: one to one, and the same text always gives the same name. */
export class AcceptedNames {
  readonly #longest: number;
  readonly #given = new Map<string, string>();
  readonly #taken = new Map<string, string>();

  constructor(longest: number) {
    this.#longest = longest;
  }

  #accepts(name: string): boolean {
    return name.length <= this.#longest && ACCEPTED.test(name);
  }

  /** Reserves the names that need no change, so that none is made up that the caller has already. */
  reserve(names: Iterable<string>): void {
    for (const name of names) if (this.#accepts(name)) this.#taken.set(name, name);
  }

  /** The name to send. */
  name(wanted: string): string {
    const given = this.#given.get(wanted);
    if (given !== undefined) return given;
    const base = this.#accepts(wanted) ? wanted : wanted.replace(REFUSED, "_").slice(0, this.#longest) || "_";
    let name = base;
    for (let count = 2; (this.#taken.get(name) ?? wanted) !== wanted; count++) {
      const suffix = `_${count}`;
      name = base.slice(0, this.#longest - suffix.length) + suffix;
    }
    this.#given.set(wanted, name);
    this.#taken.set(name, wanted);
    return name;
  }

  /** Sent name → the caller's, for those that differ. */
  get changed(): ReadonlyMap<string, string> {
    const changed = new Map<string, string>();
    for (const [wanted, name] of this.#given) if (wanted !== name) changed.set(name, wanted);
    return changed;
  }
}
