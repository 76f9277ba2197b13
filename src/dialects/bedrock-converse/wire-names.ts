/** Names and ids as Converse takes them; what it refuses is replaced by something it takes, the same each time. */

/** Tool names and tool use ids alike. */
const ACCEPTED = /^[a-zA-Z0-9_-]{1,64}$/;
const MAX_LENGTH = 64;

/** One-to-one: two names of the caller's never become one name of the wire. */
export class WireNames {
  readonly #sent = new Map<string, string>();
  readonly #taken: Set<string>;
  readonly #fallback: string;

  /** `known`: every name that will come, so that those that may stay as they are do; `fallback` replaces "". */
  constructor(known: Iterable<string>, fallback: string) {
    this.#taken = new Set();
    this.#fallback = fallback;
    for (const name of known) {
      if (ACCEPTED.test(name)) this.#taken.add(name);
    }
  }

  /** What is sent for this name. */
  sent(name: string): string {
    if (ACCEPTED.test(name)) return name;
    let sent = this.#sent.get(name);
    if (sent === undefined) {
      sent = this.fresh(name);
      this.#sent.set(name, sent);
    }
    return sent;
  }

  /** A name nobody else has, as close to this one as can be. */
  fresh(name: string): string {
    const base = name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, MAX_LENGTH) || this.#fallback;
    let sent = base;
    for (let count = 2; this.#taken.has(sent); count++) {
      const tail = `_${count}`;
      sent = base.slice(0, MAX_LENGTH - tail.length) + tail;
    }
    this.#taken.add(sent);
    return sent;
  }

  /** What was sent → what the caller said, for the names that had to change. */
  get renamed(): ReadonlyMap<string, string> {
    return new Map([...this.#sent].map(([name, sent]) => [sent, name]));
  }
}

const MAX_DOCUMENT_NAME = 200;

/**
 * Names of documents: letters, digits, single spaces, hyphens, parentheses and brackets, unique in the request.
 */
export class DocumentNames {
  readonly #taken = new Set<string>();

  /** A name for a document of this title. */
  next(title: string | null): string {
    const clean = (title ?? "").replace(/[^a-zA-Z0-9()[\]-]+/g, " ").trim();
    const base = clean.slice(0, MAX_DOCUMENT_NAME - 8).trim() || "document";
    let name = base;
    for (let count = 2; this.#taken.has(name); count++) name = `${base} ${count}`;
    this.#taken.add(name);
    return name;
  }
}

/** A loss named after a field or type of the caller's: made of harmless characters, and short. */
export function lossName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, "_")
    .slice(0, 48);
}
