/** The stream of the usage events, and the bucket of their sums: made where they are missing, changed where they differ. */
import {
  DiscardPolicy,
  type JetStreamManager,
  type KV,
  type Live,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "./connection.js";
import { findStream } from "./jetstream.js";
import type { FleetNames } from "./subjects.js";

const DAY_MS = 86_400_000;

export interface UsageStreamSettings {
  readonly replicas: number;
  /** Milliseconds; 0 = for ever. */
  readonly max_age_ms: number;
  /** 0 = no bound. */
  readonly max_bytes: number;
  readonly dedupe_window_ms: number;
  /** 0 = for ever. */
  readonly rollup_days: number;
}

/** Makes the stream, or brings it to these settings. Rejects when NATS refuses. */
export async function ensureUsageStream(
  manager: JetStreamManager,
  names: FleetNames,
  settings: UsageStreamSettings,
): Promise<StreamInfo> {
  const wanted = {
    subjects: [names.usageAll],
    num_replicas: settings.replicas,
    max_age: nanos(settings.max_age_ms),
    max_bytes: settings.max_bytes === 0 ? -1 : settings.max_bytes,
    duplicate_window: nanos(settings.dedupe_window_ms),
    discard: DiscardPolicy.Old,
  };
  const found = await findStream(manager, names.usageStream);
  if (found === null) {
    return manager.streams.add({
      name: names.usageStream,
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      ...wanted,
    });
  }
  const { config } = found;
  const same =
    config.num_replicas === wanted.num_replicas &&
    config.max_age === wanted.max_age &&
    config.max_bytes === wanted.max_bytes &&
    config.duplicate_window === wanted.duplicate_window &&
    config.discard === wanted.discard &&
    config.subjects?.join() === wanted.subjects.join();
  return same ? found : manager.streams.update(names.usageStream, { ...config, ...wanted });
}

/** The bucket of the sums; made where it is missing. */
export function rollupBucket({ js }: Live, names: FleetNames, settings: UsageStreamSettings): Promise<KV> {
  return js.views.kv(names.rollupBucket, {
    history: 1,
    replicas: settings.replicas,
    ttl: settings.rollup_days * DAY_MS,
    storage: StorageType.File,
  });
}
