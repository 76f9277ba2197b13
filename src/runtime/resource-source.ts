/**
 * Where a node's resources come from: the file that it was given, the embedded default, NATS, or, where NATS is to be
 * the source and is away, the snapshot of what last came from there.
 */
import { join } from "node:path";
import type { ClusterActor } from "../cluster/actor.js";
import type { StoredEntry } from "../cluster/config-entries.js";
import { readConfigSnapshot, SNAPSHOT_FILE } from "../cluster/config-file.js";
import type { ConfigHouse } from "../cluster/config-sync.js";
import { renderError, type ResourcesContext } from "../config/load.js";
import type { OfferedSet, ResourceSet } from "../config/resource-set.js";
import { EntryMemory, revisionOf } from "../config/resources-file.js";
import type { WeirConfig } from "../config/schema.js";
import type { Logger } from "../observability/logger.js";
import type { Listing, ResourceStore } from "../ops/admin-resources.js";
import type { InForce } from "./in-force.js";
import type { Reloader } from "./reload.js";
import { readEntries } from "./resource-file.js";

const SNAPSHOT = "snapshot file";
/** NATS that is there has been read by then. */
const AWAY_MS = 2_000;

export interface Given {
  readonly config: WeirConfig;
  readonly context: ResourcesContext;
  /** Of the file, or the embedded default. */
  readonly resources: ResourceSet;
  /** null = no file was given. */
  readonly resourcesPath: string | null;
}

/** What the node starts with. */
export interface Start {
  readonly set: OfferedSet;
  readonly fromSnapshot: boolean;
}

/** The snapshot of what last came from NATS, where that is the source and there is a good one; else what was given. */
export function startingSet(given: Given, logger: Logger): Start {
  const { config, context, resources } = given;
  const { source, revision } = resources.resources;
  const start: Start = { set: { ...resources, source, revision }, fromSnapshot: false };
  if (!isFromNats(config)) return start;
  const path = join(config.data_dir, SNAPSHOT_FILE);
  const snapshot = readConfigSnapshot(path, config.cluster.name);
  if (snapshot === null) return start;
  if (typeof snapshot === "string") {
    logger.error({ file: path, reason: snapshot }, "the snapshot of the resources is not used");
    return start;
  }
  const origin = { source: SNAPSHOT, revision: revisionOf(JSON.stringify(snapshot.entries)) };
  const set = readEntries(snapshot.entries, context, origin);
  if (!set.ok) {
    logger.error({ file: path, errors: set.errors.map(renderError) }, "the snapshot of the resources is not used");
    return start;
  }
  return { set: { ...set.value, source: SNAPSHOT, revision: String(snapshot.revision) }, fromSnapshot: true };
}

/** What the cluster actor needs to bring resources here; null = they do not come from NATS. */
export function configHouse(
  given: Given,
  start: Start,
  { inForce, reloader, logger }: { inForce: InForce; reloader: Reloader | null; logger: Logger },
): ConfigHouse | null {
  const { config, context, resourcesPath } = given;
  if (!isFromNats(config)) return null;
  const path = join(config.data_dir, SNAPSHOT_FILE);
  if (start.fromSnapshot) {
    reloader?.retire();
    setTimeout(() => {
      const { source, revision } = inForce.serving;
      if (source === SNAPSHOT)
        logger.warn({ file: path, revision }, "NATS is away: the resources are those of the snapshot file");
    }, AWAY_MS).unref();
  }
  const memory = new EntryMemory();
  return {
    // The embedded default is this node's own, and nobody else's.
    given: () => {
      const { serving } = inForce;
      const isOwn = resourcesPath === null && serving === start.set && !start.fromSnapshot;
      return isOwn ? null : serving.entries;
    },
    path,
    read: (entries, origin) => readEntries(entries, context, { ...origin, memory }),
    take: (set) => {
      reloader?.retire();
      return inForce.take(set, "NATS");
    },
    settled: () => inForce.settling,
    refuse: (errors) => {
      reloader?.retire();
      inForce.refuse(errors);
    },
  };
}

/** The resources for the admin API; `cluster` answers null where, or while, there is none. */
export function resourceStore(given: Given, inForce: () => InForce, cluster: () => ClusterActor | null): ResourceStore {
  const { config, resourcesPath } = given;
  return {
    listing: () => listed(cluster()) ?? servingListing(inForce(), resourcesPath),
    change: async (change) => {
      if (!isFromNats(config)) return { kind: "elsewhere", reason: reasonNotToWrite(given) };
      const writer = cluster()?.config?.writer;
      return writer === undefined ? { kind: "away", reason: "The node is starting." } : writer.change(change);
    },
    audit: async (limit) => (await cluster()?.config?.audit.newest(limit)) ?? [],
  };
}

function isFromNats({ cluster }: WeirConfig): boolean {
  return cluster.nats !== null && cluster.config === "nats";
}

/** What is in NATS, also where it is not good enough to be in force; null: nothing is, as far as is known. */
function listed(cluster: ClusterActor | null): Listing | null {
  const state = cluster?.config?.sync.bucket.state ?? null;
  if (state === null || !state.seeded) return null;
  return { revision: state.revision, source: "nats", entries: state.entries.values() };
}

function servingListing({ serving }: InForce, path: string | null): Listing {
  const { source, revision } = serving;
  const entries: StoredEntry[] = serving.entries.map((entry) => ({ ...entry, revision: 0, problem: "" }));
  if (source === SNAPSHOT) return { revision: Number(revision), source, entries };
  return { revision: 0, source: path === null ? source : "file", entries };
}

function reasonNotToWrite({ config, resourcesPath }: Given): string {
  const place =
    resourcesPath === null
      ? "no file was given, so they are the embedded default"
      : `they stand in the file ${resourcesPath}`;
  const remedy =
    config.cluster.nats === null
      ? "Change the file, or give the node NATS."
      : "Change the file: cluster.config is file.";
  return `The resources are not changed here: ${place}. ${remedy}`;
}
