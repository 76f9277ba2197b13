/** Names and ids that a wire takes, made from those that it refuses; each keeps its own, and the answer's find back. */

/** What a wire asks of a name's characters. */
export interface NameRule {
  /** Characters that may not stand anywhere; each becomes "_". Needs the g flag. */
  readonly refused: RegExp;
  /** A first character that may not stand there gets "_" before it; null = any may. */
  readonly refusedStart: RegExp | null;
}

const LETTERS_DIGITS_AND_DASHES: NameRule = { refused: /[^a-zA-Z0-9_-]/g, refusedStart: null };

/** What the wire takes in place of a text: one to one, and the same text always gives the same name. */
export class AcceptedNames {
  readonly #longest: number;
  readonly #rule: NameRule;
  readonly #given = new Map<string, string>();
  readonly #taken = new Map<string, string | null>();

  /** `longest`: characters that a name may have. */
  constructor(longest: number, rule: NameRule = LETTERS_DIGITS_AND_DASHES) {
    this.#longest = longest;
    this.#rule = rule;
  }

  #shaped(name: string): string {
    const { refused, refusedStart } = this.#rule;
    const plain = name.replace(refused, "_");
    const begun = plain === "" || refusedStart?.test(plain) === true ? `_${plain}` : plain;
    return begun.slice(0, this.#longest);
  }

  /** Reserves the names that need no change, so that none is made up that the caller has already. */
  reserve(names: Iterable<string>): void {
    for (const name of names) if (this.#shaped(name) === name) this.#taken.set(name, name);
  }

  /** The name to send. */
  name(wanted: string): string {
    const given = this.#given.get(wanted);
    if (given !== undefined) return given;
    const name = this.#free(wanted, wanted);
    this.#given.set(wanted, name);
    return name;
  }

  /** A name like the wanted one that nobody has, for something that is none of the caller's. */
  fresh(wanted: string): string {
    return this.#free(wanted, null);
  }

  #free(wanted: string, owner: string | null): string {
    const base = this.#shaped(wanted);
    let name = base;
    for (let count = 2; this.#taken.has(name) && (owner === null || this.#taken.get(name) !== owner); count++) {
      const suffix = `_${count}`;
      name = base.slice(0, this.#longest - suffix.length) + suffix;
    }
    this.#taken.set(name, owner);
    return name;
  }

  /** Sent name → the caller's, for those that differ. */
  get changed(): ReadonlyMap<string, string> {
    const changed = new Map<string, string>();
    for (const [wanted, name] of this.#given) if (wanted !== name) changed.set(name, wanted);
    return changed;
  }
}
