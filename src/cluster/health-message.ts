/**
 * What one node tells the others of its models, in messages that are bounded. All times are spans: what is left, how
 * long ago; no clock of another node is believed. A message may have very many rows, so the rows are checked by hand.
 */
import { z } from "zod";
import { LATENCY_STALE_MS } from "../routing/health.js";
import { pack, unpack } from "./wire.js";

/** Bytes of one message at most. */
export const MAX_MESSAGE = 262_144;
/** More than the numbers and the names of the fields of one row take. */
const ROW_BYTES = 192;
/** Rows of either kind that a message of so many bytes could have, and more. */
const MAX_ROWS = 65_536;
const MAX_NAME = 1_024;
const MAX_IN_FLIGHT = 1_000_000;
const MAX_LATENCY_MS = 3_600_000;
const MAX_SPAN_MS = 366 * 86_400_000;
const MAX_STATUS = 999;

/** One model at one node. What is null is as it was told before. */
export interface ModelRow {
  readonly name: string;
  readonly inFlight: number;
  readonly latency: { readonly ms: number; readonly ageMs: number; readonly samples: number } | null;
  /** `id`: the same for as long as it is the same cooldown; `status`: 0 = the upstream sent none. */
  readonly cooldown: { readonly leftMs: number; readonly id: number; readonly status: number } | null;
  /** How long ago the last attempt succeeded. */
  readonly successAgeMs: number | null;
}

/** A background check that the node has made. */
export interface CheckRow {
  readonly name: string;
  readonly passed: boolean;
  readonly status: number;
  readonly ageMs: number;
  readonly staleSeconds: number;
}

export interface HealthMessage {
  readonly instance: string;
  readonly models: readonly ModelRow[];
  readonly checks: readonly CheckRow[];
}

/** Fields that a newer version adds pass unread. */
const envelope = z.object({
  v: z.literal(1),
  instance: z.string().min(1).max(256),
  models: z.array(z.unknown()).max(MAX_ROWS).default([]),
  checks: z.array(z.unknown()).max(MAX_ROWS).default([]),
});

/** As many messages as it takes; none for nothing. */
export function packHealth({ instance, models, checks }: HealthMessage): Uint8Array[] {
  const packed: Uint8Array[] = [];
  let message = { v: 1, instance, models: [] as object[], checks: [] as object[] };
  let room = MAX_MESSAGE - ROW_BYTES - instance.length * 3;
  const put = (rows: "models" | "checks", row: object, name: string): void => {
    const bytes = ROW_BYTES + Buffer.byteLength(name);
    if (bytes > room) {
      packed.push(pack(message));
      message = { v: 1, instance, models: [], checks: [] };
      room = MAX_MESSAGE - ROW_BYTES - instance.length * 3;
    }
    room -= bytes;
    message[rows].push(row);
  };
  for (const model of models) if (model.name.length <= MAX_NAME) put("models", packedModel(model), model.name);
  for (const check of checks) if (check.name.length <= MAX_NAME) put("checks", packedCheck(check), check.name);
  if (message.models.length + message.checks.length > 0) packed.push(pack(message));
  return packed;
}

/** null: it is no such message. Rows that say nothing are left out. */
export function unpackHealth(data: Uint8Array): HealthMessage | null {
  if (data.length > MAX_MESSAGE) return null;
  const read = envelope.safeParse(unpack(data));
  if (!read.success) return null;
  const { instance, models, checks } = read.data;
  return {
    instance,
    models: models.map(readModel).filter((row) => row !== null),
    checks: checks.map(readCheck).filter((row) => row !== null),
  };
}

function packedModel({ name, inFlight, latency, cooldown, successAgeMs }: ModelRow): object {
  return {
    name,
    in_flight: inFlight,
    ...(latency === null ? {} : { latency: [latency.ms, latency.ageMs, latency.samples] }),
    ...(cooldown === null ? {} : { cooldown: [cooldown.leftMs, cooldown.id, cooldown.status] }),
    ...(successAgeMs === null ? {} : { success_age: successAgeMs }),
  };
}

function packedCheck({ name, passed, status, ageMs, staleSeconds }: CheckRow): object {
  return { name, passed, status, age: ageMs, stale_after: staleSeconds };
}

function readModel(value: unknown): ModelRow | null {
  const { name, in_flight, latency, cooldown, success_age } = fieldsOf(value);
  const inFlight = numberUpTo(in_flight, MAX_IN_FLIGHT);
  if (!isName(name) || inFlight === null) return null;
  return {
    name,
    inFlight: Math.floor(inFlight),
    latency: readLatency(latency),
    cooldown: readCooldown(cooldown),
    successAgeMs: numberUpTo(success_age, MAX_SPAN_MS),
  };
}

function readLatency(value: unknown): ModelRow["latency"] {
  if (!Array.isArray(value)) return null;
  const ms = numberUpTo(value[0], MAX_LATENCY_MS);
  const ageMs = numberUpTo(value[1], LATENCY_STALE_MS);
  const samples = numberUpTo(value[2], Number.MAX_SAFE_INTEGER);
  return ms === null || ageMs === null || samples === null ? null : { ms, ageMs, samples };
}

function readCooldown(value: unknown): ModelRow["cooldown"] {
  if (!Array.isArray(value)) return null;
  const leftMs = numberUpTo(value[0], MAX_SPAN_MS);
  const id = numberUpTo(value[1], Number.MAX_SAFE_INTEGER);
  const status = numberUpTo(value[2], MAX_STATUS);
  return leftMs === null || id === null || status === null ? null : { leftMs, id, status: Math.floor(status) };
}

function readCheck(value: unknown): CheckRow | null {
  const { name, passed, status, age, stale_after } = fieldsOf(value);
  const read = numberUpTo(status, MAX_STATUS);
  const ageMs = numberUpTo(age, MAX_SPAN_MS);
  const staleSeconds = numberUpTo(stale_after, MAX_SPAN_MS / 1_000);
  if (!isName(name) || typeof passed !== "boolean" || read === null || ageMs === null || staleSeconds === null)
    return null;
  return { name, passed, status: Math.floor(read), ageMs, staleSeconds: Math.floor(staleSeconds) };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_NAME;
}

function numberUpTo(value: unknown, most: number): number | null {
  return typeof value === "number" && value >= 0 && value <= most ? value : null;
}
