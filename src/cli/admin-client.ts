/** The admin API as the commands use it: one method a call, every failure an `AdminError`. */
import { isMapping, type Raw } from "../config/entry.js";
import type { CollectionName } from "../config/schema.js";

/** One entry as the gateway has it, its secrets unreadable. */
export interface AdminEntry {
  readonly name: string;
  readonly revision: number;
  readonly value: Raw;
  /** Why it cannot be read, and is not in force. */
  readonly problem?: string;
}

/** What became of a change. */
export interface AdminChange {
  readonly revision: number;
  /** Why it is stored, but not in force: other entries are wrong. */
  readonly notInForce: readonly AdminReason[];
}

export interface AdminCollection {
  /** Of all resources, not of this collection alone. */
  readonly revision: number | string;
  readonly source: string;
  readonly items: readonly AdminEntry[];
}

export interface AdminReason {
  readonly path: string;
  readonly message: string;
}

/** A call that has not succeeded. The message is a whole sentence for the person who asked. */
export class AdminError extends Error {
  /** 0: there was no answer, or none that could be understood. */
  readonly status: number;
  readonly reasons: readonly AdminReason[];

  constructor(message: string, status = 0, reasons: readonly AdminReason[] = []) {
    super(message);
    this.status = status;
    this.reasons = reasons;
  }
}

interface Call {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Behind `/admin/v1/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface AdminClientOptions {
  /** Of the ops listener, without a slash at its end. */
  readonly url: string;
  readonly key: string;
  /** For one call, from its start to the end of its answer. */
  readonly timeoutMs: number;
}

/** What a write expects of the entry: to be absent, or at this revision. */
export type Expectation = "absent" | number;

export class AdminClient {
  readonly #options: AdminClientOptions;

  constructor(options: AdminClientOptions) {
    this.#options = options;
  }

  /** All entries of a collection, by name. */
  async list(collection: CollectionName): Promise<AdminCollection> {
    const answer = await this.#call({ method: "GET", path: collection });
    const { revision, source, items } = answer;
    if (!Array.isArray(items)) throw this.#strange(200);
    return {
      revision: typeof revision === "number" || typeof revision === "string" ? revision : 0,
      source: typeof source === "string" ? source : "",
      items: items.map((item) => this.#entry(item)),
    };
  }

  /** One entry; null = there is none of this name. */
  async read(collection: CollectionName, name: string): Promise<AdminEntry | null> {
    try {
      return this.#entry(await this.#call({ method: "GET", path: pathOf(collection, name) }));
    } catch (error) {
      if (error instanceof AdminError && error.status === 404) return null;
      throw error;
    }
  }

  /** Puts a whole entry in the place of the one that is expected. Rejects with status 412 where that is not there. */
  async write(
    collection: CollectionName,
    { name, value }: Pick<AdminEntry, "name" | "value">,
    expected: Expectation,
  ): Promise<AdminChange> {
    const headers = expected === "absent" ? { "if-none-match": "*" } : matching(expected);
    return changeOf(await this.#call({ method: "PUT", path: pathOf(collection, name), headers, body: value }));
  }

  /** Without a revision, whatever is there goes. Rejects with status 404 where nothing is. */
  async remove(collection: CollectionName, name: string, revision: number | null): Promise<AdminChange> {
    const headers = revision === null ? {} : matching(revision);
    return changeOf(await this.#call({ method: "DELETE", path: pathOf(collection, name), headers }));
  }

  /** Has the gateway make an API key. What comes back is the only time that the key is told. */
  async createKey(body: Raw): Promise<AdminChange & { readonly entry: AdminEntry; readonly key: string }> {
    const answer = await this.#call({ method: "POST", path: "api_keys", body });
    if (typeof answer.key !== "string") throw this.#strange(201);
    return { ...changeOf(answer), entry: this.#entry(answer), key: answer.key };
  }

  /** Forgets cached answers that fit all the names; answers how many. */
  async purgeCache(names: Raw): Promise<number> {
    const { purged } = await this.#call({ method: "POST", path: "cache/purge", body: names });
    if (typeof purged !== "number") throw this.#strange(200);
    return purged;
  }

  #entry(answer: unknown): AdminEntry {
    if (!isMapping(answer) || typeof answer.name !== "string" || !isMapping(answer.value)) throw this.#strange(200);
    const { name, value, problem } = answer;
    const entry = { name, revision: revisionOf(answer), value };
    return typeof problem === "string" ? { ...entry, problem } : entry;
  }

  async #call({ method, path, headers = {}, body }: Call): Promise<Raw> {
    const { url, key, timeoutMs } = this.#options;
    let status: number;
    let text: string;
    try {
      const answer = await fetch(`${url}/admin/v1/${path}`, {
        method,
        headers: {
          ...headers,
          authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        // The key is for this address, and for no other that it may name.
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
      status = answer.status;
      text = await answer.text();
    } catch (error) {
      throw this.#unreachable(error as Error, method);
    }
    const parsed = parseObject(text);
    if (status >= 200 && status < 300 && parsed !== null) return parsed;
    throw parsed === null ? this.#strange(status) : refusal(status, parsed);
  }

  #unreachable(error: Error, method: string): AdminError {
    const { url, timeoutMs } = this.#options;
    const unsure = method === "GET" ? "" : "; whether the change was made is not known";
    if (error.name === "TimeoutError") {
      return new AdminError(`the gateway at ${url} has not answered within ${timeoutMs / 1000} s${unsure}`);
    }
    const cause = error.cause as NodeJS.ErrnoException | undefined;
    const reason = cause?.message || cause?.code || error.message;
    return new AdminError(`the gateway at ${url} cannot be reached: ${reason}`);
  }

  #strange(status: number): AdminError {
    const { url } = this.#options;
    return new AdminError(`${url} does not answer like an admin API (status ${status}): is it the ops listener?`);
  }
}

function pathOf(collection: CollectionName, name: string): string {
  // An address knows these as steps, however they are escaped.
  if (name === "." || name === "..") throw new AdminError(`an entry called "${name}" cannot be asked for`);
  try {
    return `${collection}/${encodeURIComponent(name)}`;
  } catch {
    throw new AdminError("a name holds half a character, and cannot be asked for");
  }
}

function matching(revision: number): Record<string, string> {
  return { "if-match": `"${revision}"` };
}

function parseObject(text: string): Raw | null {
  try {
    const value: unknown = JSON.parse(text);
    return isMapping(value) ? value : null;
  } catch {
    return null;
  }
}

function revisionOf({ revision }: Raw): number {
  return typeof revision === "number" ? revision : 0;
}

function changeOf(answer: Raw): AdminChange {
  return { revision: revisionOf(answer), notInForce: reasonsOf(answer.not_in_force) };
}

function reasonsOf(list: unknown): AdminReason[] {
  if (!Array.isArray(list)) return [];
  return list
    .filter(isMapping)
    .map(({ path, message }) => ({ path: String(path ?? ""), message: String(message ?? "") }));
}

function refusal(status: number, answer: Raw): AdminError {
  const error = isMapping(answer.error) ? answer.error : {};
  const message = typeof error.message === "string" ? error.message : "it gives no reason";
  return new AdminError(`the gateway refuses (${status}): ${message}`, status, reasonsOf(error.errors));
}
