/** The cache as the main thread sees it: how full it is, told when somebody looks. */
import type { CacheStore } from "../cache/store.js";
import type { Cell, Metrics } from "../observability/metrics.js";

export function watchCache(store: CacheStore, metrics: Metrics): void {
  watch(store, metrics, { bytes: metrics.cell("weir_cache_bytes"), entries: metrics.cell("weir_cache_entries") });
}

/** The same for kept conversations. */
export function watchTurns(store: CacheStore, metrics: Metrics): void {
  watch(store, metrics, { bytes: metrics.cell("weir_turns_bytes"), entries: metrics.cell("weir_turns_entries") });
}

function watch(store: CacheStore, metrics: Metrics, { bytes, entries }: { bytes: Cell; entries: Cell }): void {
  metrics.onCollect(() => {
    const stats = store.stats();
    bytes.value = stats.bytes;
    entries.value = stats.entries;
  });
}
