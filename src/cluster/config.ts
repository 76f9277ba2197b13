/** The resources of the fleet in NATS: read, written and put on record. One of the cluster actor's domains. */
import { AuditTrail, type AuditStatus } from "./audit.js";
import { type ConfigHouse, ConfigSync, type ConfigSyncStatus } from "./config-sync.js";
import { ConfigWriter } from "./config-writer.js";
import type { Connection } from "./connection.js";
import type { ClusterLog } from "./log.js";
import type { FleetNames } from "./subjects.js";

export interface FleetConfigOptions {
  readonly connection: Connection;
  readonly names: FleetNames;
  readonly replicas: number;
  /** `cluster.name`. */
  readonly fleet: string;
  readonly node: string;
  readonly house: ConfigHouse;
  readonly log: ClusterLog;
}

/** A part of `/status/cluster`. */
export interface FleetConfigStatus extends ConfigSyncStatus {
  readonly audit: AuditStatus;
}

export class FleetConfig {
  readonly sync: ConfigSync;
  readonly writer: ConfigWriter;
  readonly audit: AuditTrail;

  constructor(options: FleetConfigOptions) {
    const { connection, names, replicas, node, house, log } = options;
    this.audit = new AuditTrail({ connection, names, replicas, log });
    this.sync = new ConfigSync({ ...options, ...house, audit: this.audit });
    this.writer = new ConfigWriter({ sync: this.sync, names, node, read: house.read, audit: this.audit, log });
  }

  /** Begins, and returns at once. */
  start(): void {
    this.sync.start();
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    await Promise.all([this.sync.stop(), this.audit.stop()]);
  }

  get status(): FleetConfigStatus {
    return { ...this.sync.status, audit: this.audit.status };
  }
}
