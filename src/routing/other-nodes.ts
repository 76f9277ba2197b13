/** What routing on the main thread asks of the other nodes of a fleet, and tells them. */
import type { CheckResult } from "./health-report.js";

/** A cooldown that another node has begun. */
export interface ForeignCooldown {
  /** The node's name. */
  readonly node: string;
  /** The upstream's status at that node; 0 = it sent none. */
  readonly status: number;
}

export interface OtherNodes {
  /** How many nodes come before this one when a model is to be checked; 0 = it is this node's to check. */
  checkRank(name: string): number;
  /** This node has checked a model. */
  checked(name: string, result: CheckResult): void;
  /** Of the other nodes' cooldowns the one that lasts longest; null = there is none. */
  cooldownFrom(name: string): ForeignCooldown | null;
}
