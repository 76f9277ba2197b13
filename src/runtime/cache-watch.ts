/** The cache as the main thread sees it: how full it is, told when somebody looks. */
import type { CacheStore } from "../cache/store.js";
import type { Metrics } from "../observability/metrics.js";

export function watchCache(store: CacheStore, metrics: Metrics): void {
  const bytes = metrics.cell("weir_cache_bytes");
  const entries = metrics.cell("weir_cache_entries");
  metrics.onCollect(() => {
    const stats = store.stats();
    bytes.value = stats.bytes;
    entries.value = stats.entries;
  });
}
