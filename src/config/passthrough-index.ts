/** Which passthrough route a request takes, by the host that it calls and its path. */
import { type AddressSet, parseCidrs } from "./cidr.js";
import type { PassthroughRoute } from "./traffic.js";

/** A configured route with its questions answered from memory. */
export interface Passage {
  readonly route: PassthroughRoute;
  /** Callers' addresses that may use it; null = all. */
  readonly allowedAddresses: AddressSet | null;
}

export class PassthroughIndex {
  /** Longer prefixes first: the most particular route counts. */
  readonly #ofHosts: ReadonlyMap<string, readonly Passage[]>;
  readonly #ofPaths: readonly Passage[];

  constructor(routes: readonly PassthroughRoute[]) {
    const passages = routes.map((route): Passage => {
      const allowedAddresses = route.sourceCidrs.length === 0 ? null : parseCidrs(route.sourceCidrs);
      return Object.freeze({ route, allowedAddresses });
    });
    passages.sort((one, other) => other.route.pathPrefix.length - one.route.pathPrefix.length);
    const ofHosts = new Map<string, Passage[]>();
    for (const passage of passages) {
      for (const host of passage.route.hosts) {
        const known = ofHosts.get(host);
        if (known === undefined) ofHosts.set(host, [passage]);
        else known.push(passage);
      }
    }
    this.#ofHosts = ofHosts;
    this.#ofPaths = passages.filter(({ route }) => route.hosts.length === 0);
  }

  /** Are there routes for whole hosts? */
  get hasHosts(): boolean {
    return this.#ofHosts.size > 0;
  }

  /** The route of a host that is given to routes; such a host has no endpoints but theirs. `host`: as called, maybe with a port. */
  byHost(host: string, path: string): Passage | undefined {
    const name = host.replace(/:[0-9]{1,5}$/, "").toLowerCase();
    return this.#ofHosts.get(name)?.find(({ route }) => isBelow(path, route.pathPrefix));
  }

  byPath(path: string): Passage | undefined {
    return this.#ofPaths.find(({ route }) => isBelow(path, route.pathPrefix));
  }
}

function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || prefix === "" || path[prefix.length] === "/");
}
