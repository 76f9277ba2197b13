import { describe, expect, it } from "vitest";
import { type EntryMeta, packMeta, unpackMeta } from "../../../src/cache/entry.js";
import { MAX_SHARED_BYTES, packEntry, parseEntry } from "../../../src/cluster/cache-entry.js";
import { pack, unpack } from "../../../src/cluster/wire.js";

const meta: EntryMeta = {
  mode: "whole",
  contentType: "application/json",
  usageShown: false,
  targetDialect: "openai-chat",
  provider: "openai",
  upstreamModel: "gpt",
  responseModel: "gpt-1",
  responseId: "id",
  finishReason: "stop",
  inputTokens: 3,
  outputTokens: 4,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  costUsd: 0.001,
  losses: ["logprobs"],
};
const key = Buffer.alloc(32, 7);
const entry = { meta: packMeta(meta), body: Buffer.from("{}"), expiresAt: 2_000, apiKey: "k", askedAt: 1_000 };

/** The entry with something else in it. */
function changed(change: Record<string, unknown>, metaChange: Record<string, unknown> = {}): Uint8Array {
  const told = unpack(packEntry(entry, key) as Uint8Array) as { meta: object };
  return pack({ ...told, meta: { ...told.meta, ...metaChange }, ...change });
}

describe("an answer on the wire", () => {
  it("is what it was", () => {
    const read = parseEntry(packEntry(entry, key) as Uint8Array, key);
    expect(read).toEqual(entry);
    expect(unpackMeta(read?.meta as Buffer)).toEqual(meta);
  });

  it("may have fields of a newer version, which are left out", () => {
    const read = parseEntry(changed({ later: 1 }, { later: 1 }), key);
    expect(unpackMeta(read?.meta as Buffer)).toEqual(meta);
  });

  it("is not packed when it is too long", () => {
    expect(packEntry({ ...entry, body: Buffer.alloc(MAX_SHARED_BYTES) }, key)).toBeNull();
    expect(packEntry({ ...entry, body: Buffer.alloc(MAX_SHARED_BYTES - 2_000) }, key)).not.toBeNull();
  });

  it.each<[string, Uint8Array]>([
    ["nonsense", Buffer.from("nonsense")],
    ["nothing", Buffer.from("")],
    ["another version", changed({ v: 2 })],
    ["no body", changed({ body: null })],
    ["an empty body", changed({ body: Buffer.from("") })],
    ["a body that is text", changed({ body: "{}" })],
    ["no end", changed({ expires_at: "later" })],
    ["a mode that is none", changed({}, { mode: "both" })],
    ["a header in its type", changed({}, { contentType: "text/plain\r\nset-cookie: a=b" })],
    ["a header in its losses", changed({}, { losses: ["a\r\nb: c"] })],
    ["another request's key", changed({ key: Buffer.alloc(32, 8) })],
    ["no key", changed({ key: null })],
    ["more bytes than are ever written", changed({ body: Buffer.alloc(MAX_SHARED_BYTES) })],
    ["negative tokens", changed({}, { inputTokens: -1 })],
  ])("is none with %s", (_, bytes) => {
    expect(parseEntry(bytes, key)).toBeNull();
  });
});
