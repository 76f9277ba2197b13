/** Names of documents: letters, digits, single spaces, hyphens, parentheses and brackets, unique in the request. */

const MAX_DOCUMENT_NAME = 200;

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
