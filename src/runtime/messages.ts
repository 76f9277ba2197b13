/** Every message between the threads of a node: plain tagged data, one union, switched over exhaustively. */
import type { CacheAsk, CacheKept } from "../cache/fleet.js";
import type { PriceRow } from "../config/prices.js";
import type { Resources } from "../config/resources.js";
import type { BlockMap } from "../quota/blocks.js";
import type { SlotMap } from "../routing/slots.js";

/** Errors cross threads as data: an Error object would lose its class and code on the way. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** From the supervisor to an acceptor. */
export type AcceptorMessage =
  | {
      readonly kind: "resources";
      readonly resources: Resources;
      readonly blocks: BlockMap;
      readonly slots: SlotMap;
      readonly prices: readonly PriceRow[];
    }
  | { readonly kind: "drain"; readonly noticeMs: number; readonly maxMs: number }
  /** A replacement listens: close what is left and go. */
  | { readonly kind: "leave" }
  | { readonly kind: "collect"; readonly ticket: number }
  /** Make one small call to a model, and tell its status. */
  | {
      readonly kind: "probe";
      readonly ticket: number;
      readonly model: string;
      readonly prompt: string;
      readonly maxTokens: number;
      readonly timeoutMs: number;
    }
  /** What came of asking for an answer that other nodes keep: is it in the node's memory now? */
  | { readonly kind: "cache-told"; readonly ticket: number; readonly found: boolean }
  /** The fleet has granted something, or has nothing: requests that wait may look again. */
  | { readonly kind: "granted" }
  /** Debug hook: throw inside the acceptor. */
  | { readonly kind: "throw" };

/** From an acceptor to the supervisor. */
export type SupervisorMessage =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "listen-failed"; readonly address: string }
  | { readonly kind: "crashed"; readonly error: ErrorData }
  | { readonly kind: "drained"; readonly cut: number }
  | { readonly kind: "collected"; readonly ticket: number; readonly metrics: unknown }
  | { readonly kind: "probed"; readonly ticket: number; readonly status: number }
  /** Requests wait for what the fleet may grant: somebody is to look what is wanted. */
  | { readonly kind: "quota-wanted" }
  | CacheAsk
  | CacheKept;

export function errorData(error: unknown): ErrorData {
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack ?? "" };
  return { name: "Error", message: String(error), stack: "" };
}

/** Where an exception came from. Not its message: that may quote the request or the answer that it failed on. */
export function faultData(error: unknown): { readonly name: string; readonly at: readonly string[] } {
  const { name, stack } = errorData(error);
  const frames = stack.split("\n").filter((line) => line.startsWith("    at "));
  return { name, at: frames.slice(0, 8).map((line) => line.trim()) };
}
