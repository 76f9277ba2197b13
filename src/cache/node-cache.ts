/** What one acceptor has of the node's cache. */
import type { CachePolicy } from "../config/traffic.js";
import { Collapse } from "./collapse.js";
import type { FleetCache } from "./fleet.js";
import { CachePolicies } from "./policies.js";
import { SemanticIndex } from "./semantic.js";
import type { CacheStore } from "./store.js";

export class NodeCache {
  readonly store: CacheStore;
  readonly collapse: Collapse;
  readonly semantic: SemanticIndex;
  /** The way to what other nodes keep; null = this node is alone. */
  readonly fleet: FleetCache | null;
  /** null = no policy is in force; swapped together with the snapshot. */
  policies: CachePolicies | null = null;

  constructor(store: CacheStore, fleet: FleetCache | null = null) {
    this.store = store;
    this.fleet = fleet;
    this.collapse = new Collapse(store.marks, Date.now);
    this.semantic = new SemanticIndex(store);
  }

  usePolicies(policies: readonly CachePolicy[]): void {
    this.policies = CachePolicies.of(policies);
  }
}
