/** The cache as the main thread sees it: how full it is, told when somebody looks. */
import { allocateCacheMemory, type CacheMemory, CacheStore } from "../cache/store.js";
import type { Cell, Metrics } from "../observability/metrics.js";

export function watchCache(store: CacheStore, metrics: Metrics): void {
  watch(store, metrics, { bytes: metrics.cell("weir_cache_bytes"), entries: metrics.cell("weir_cache_entries") });
}

/** Memory for kept conversations, watched like the cache; null = none are kept. `row`: of no thread. */
export function allocateTurns(bytes: number, row: number, metrics: Metrics): CacheMemory | null {
  if (bytes === 0) return null;
  const memory = allocateCacheMemory(bytes);
  watch(new CacheStore(memory, row), metrics, {
    bytes: metrics.cell("weir_turns_bytes"),
    entries: metrics.cell("weir_turns_entries"),
  });
  return memory;
}

function watch(store: CacheStore, metrics: Metrics, { bytes, entries }: { bytes: Cell; entries: Cell }): void {
  metrics.onCollect(() => {
    const stats = store.stats();
    bytes.value = stats.bytes;
    entries.value = stats.entries;
  });
}
