/** What browsers are told about pages of other origins (Fetch standard, CORS protocol). Off unless origins are named. */
import type { WeirConfig } from "../config/schema.js";

const NOTHING: readonly string[] = Object.freeze([]);
/** Pages may read the gateway's headers and the upstream's. */
const EXPOSED = ["access-control-expose-headers", "*"];
const EVERYBODY: readonly string[] = Object.freeze(["access-control-allow-origin", "*", ...EXPOSED]);
const DEPENDS: readonly string[] = Object.freeze(["vary", "origin"]);
/** A list of names as a browser sends it. */
const HEADER_LIST = /^[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,4096}$/;

export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #headers: string;
  readonly #maxAge: string;

  constructor({ origins, headers, max_age }: WeirConfig["cors"]) {
    this.#origins = new Set(origins);
    this.#headers = headers.join(", ");
    this.#maxAge = String(max_age);
  }

  /** False: nothing is told, whatever the page. */
  get isOn(): boolean {
    return this.#origins.size > 0;
  }

  /** For every answer to a page of this origin: names and values alternate; [] = the browser keeps it from the page. */
  headersFor(origin: string): readonly string[] {
    if (origin === "" || !this.isOn) return NOTHING;
    if (this.#origins.has("*")) return EVERYBODY;
    if (!this.#origins.has(origin)) return DEPENDS;
    return [...DEPENDS, "access-control-allow-origin", origin, ...EXPOSED];
  }

  /** For the answer to a browser's question before its call, beside `headersFor`. `wanted`: the headers it asks for. */
  permission(origin: string, allow: string, wanted: string): readonly string[] {
    if (!this.#origins.has("*") && !this.#origins.has(origin)) return NOTHING;
    const headers = this.#headers || (HEADER_LIST.test(wanted) ? wanted : "");
    const list = ["access-control-allow-methods", allow, "access-control-max-age", this.#maxAge];
    if (headers !== "") list.push("access-control-allow-headers", headers);
    return list;
  }
}
