/** An admin API in memory, as the documents describe it: real checks of the whole set, real revisions, no NATS. */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { Raw, ResourcesContext } from "../../../src/config/entry.js";
import { mapSecrets, REDACTED, redactEntry } from "../../../src/config/entry-secrets.js";
import { parseEntries } from "../../../src/config/load.js";
import type { CollectionName } from "../../../src/config/schema.js";

export const ADMIN_KEY = "admin-secret";

export interface Stored {
  readonly revision: number;
  readonly value: Raw;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export class FakeGateway {
  /** What was asked, in order. */
  readonly calls: Call[] = [];
  /** Where set, writes answer this instead. */
  refuseWrites: Answer | null = null;
  /** Called before each write is looked at. */
  beforeWrite: (call: Call) => void = () => {};
  /** What the answers to writes say of other entries. */
  notInForce: readonly { readonly path: string; readonly message: string }[] = [];
  source = "nats";
  revision = 0;
  readonly #entries = new Map<string, Stored>();
  readonly #context: ResourcesContext;
  readonly #server: Server;

  private constructor(context: ResourcesContext) {
    this.#context = context;
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(typeof body === "string" ? body : JSON.stringify(body));
      });
    });
  }

  static async start(context: ResourcesContext): Promise<FakeGateway> {
    const gateway = new FakeGateway(context);
    await new Promise<void>((done) => gateway.#server.listen(0, "127.0.0.1", done));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The calls that would change something: `PUT models/a`. */
  get writes(): string[] {
    return this.calls.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** Puts an entry there unchecked, as another writer would. */
  put(collection: CollectionName, name: string, value: Raw): void {
    this.revision += 1;
    this.#entries.set(`${collection}/${name}`, { revision: this.revision, value });
  }

  /** Takes an entry away unchecked. */
  remove(collection: CollectionName, name: string): void {
    this.#entries.delete(`${collection}/${name}`);
  }

  value(collection: CollectionName, name: string): Raw | undefined {
    return this.#entries.get(`${collection}/${name}`)?.value;
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    let body = "";
    for await (const piece of request) body += piece;
    const path = decodeURIComponent((request.url ?? "").replace("/admin/v1/", ""));
    const { "if-match": ifMatch, "if-none-match": ifNoneMatch, authorization } = request.headers;
    const call: Call = { method: request.method ?? "", path, ifMatch, ifNoneMatch, body };
    this.calls.push(call);
    if (authorization !== `Bearer ${ADMIN_KEY}`) return problem(401, "The admin key is unknown.");
    if (call.method === "GET") return this.#read(path);
    this.beforeWrite(call);
    if (this.refuseWrites !== null) return this.refuseWrites;
    if (call.method === "POST") return this.#createKey(JSON.parse(body) as Raw);
    const present = this.#entries.get(path);
    const moved = ifMatch !== undefined && ifMatch !== `"${present?.revision}"`;
    if (moved || (ifNoneMatch === "*" && present !== undefined)) return problem(412, "The entry is another one now.");
    return call.method === "PUT" ? this.#write(path, JSON.parse(body) as Raw) : this.#remove(path);
  }

  #read(path: string): Answer {
    const [collection, ...rest] = path.split("/") as [CollectionName, ...string[]];
    if (rest.length > 0) {
      const found = this.#entries.get(path);
      if (found === undefined) return problem(404, "There is no such entry.");
      return { status: 200, body: { name: rest.join("/"), ...redacted(collection, found) } };
    }
    const items = [...this.#entries]
      .filter(([key]) => key.startsWith(`${collection}/`))
      .map(([key, stored]) => ({ name: key.slice(collection.length + 1), ...redacted(collection, stored) }))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
    return { status: 200, body: { revision: this.revision, source: this.source, items } };
  }

  #write(path: string, sent: Raw): Answer {
    const [collection, ...rest] = path.split("/") as [CollectionName, ...string[]];
    const present = this.#entries.get(path);
    const value = mapSecrets(collection, sent, (secret, place) =>
      secret === REDACTED ? (at(present?.value, place) ?? secret) : secret,
    );
    const refusal = this.#refusal(path, value, 400);
    if (refusal !== null) return refusal;
    // An equal entry is not written again.
    if (!isDeepStrictEqual(present?.value, value)) this.put(collection, rest.join("/"), value);
    const stored = this.#entries.get(path) as Stored;
    const rests = this.notInForce.length === 0 ? {} : { not_in_force: this.notInForce };
    const written = { name: rest.join("/"), ...redacted(collection, stored), ...rests };
    return { status: present === undefined ? 201 : 200, body: written };
  }

  #remove(path: string): Answer {
    if (!this.#entries.has(path)) return problem(404, "There is no such entry.");
    const refusal = this.#refusal(path, null, 409);
    if (refusal !== null) return refusal;
    this.#entries.delete(path);
    this.revision += 1;
    return { status: 200, body: { name: path.split("/").slice(1).join("/"), revision: this.revision } };
  }

  #createKey(sent: Raw): Answer {
    const key = `sk-weir-${randomBytes(32).toString("base64url")}`;
    const value = { ...sent, key_hash: createHash("sha256").update(key).digest("hex") };
    const path = `api_keys/${String(sent.display_name)}`;
    const refusal = this.#refusal(path, value, 400);
    if (refusal !== null) return refusal;
    this.put("api_keys", String(sent.display_name), value);
    return { status: 201, body: { name: sent.display_name, revision: this.revision, value, key } };
  }

  /** What would be wrong with the whole set; `value` null = without the entry. */
  #refusal(path: string, value: Raw | null, status: number): Answer | null {
    const next = new Map([...this.#entries].map(([key, stored]) => [key, stored.value]));
    if (value === null) next.delete(path);
    else next.set(path, value);
    const entries = [...next].map(([key, entry]) => {
      const [collection = "", ...rest] = key.split("/");
      return { collection, name: rest.join("/"), value: entry };
    });
    const parsed = parseEntries(entries, this.#context, { source: "nats", revision: "1" });
    if (parsed.ok) return null;
    const errors = parsed.errors.map((error) => ({ path: error.path, message: error.message }));
    return { status, body: { error: { message: "The resources would not be valid.", errors } } };
  }
}

function redacted(collection: CollectionName, { revision, value }: Stored) {
  return { revision, value: redactEntry(collection, value) };
}

function at(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((found, part) => (found as Record<string | number, unknown> | undefined)?.[part], value);
}

function problem(status: number, message: string): Answer {
  return { status, body: { error: { message } } };
}
