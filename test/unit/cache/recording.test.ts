import { describe, expect, it } from "vitest";
import { type EntryMeta, unpackMeta } from "../../../src/cache/entry.js";
import { Recording, type RecordingEnd } from "../../../src/cache/recording.js";
import { allocateCacheMemory, CacheStore } from "../../../src/cache/store.js";

const KEY = Buffer.alloc(32, 1);
const META: EntryMeta = {
  mode: "whole",
  contentType: "application/json",
  usageShown: false,
  targetDialect: "d",
  provider: "p",
  upstreamModel: "u",
  responseModel: "r",
  responseId: "i",
  finishReason: "stop",
  inputTokens: 1,
  outputTokens: 2,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  costUsd: 0.5,
  losses: [],
};

function setUp(stores = true) {
  const store = new CacheStore(allocateCacheMemory(1024 * 1024), 0);
  const ends: RecordingEnd[] = [];
  const tags = { policy: 0, model: 0, apiKey: 0 };
  const recording = new Recording(
    { key: KEY, tags, ttlMs: 1000, stores, meaning: null },
    { store, clock: () => 5000, onEnd: (end) => ends.push(end) },
  );
  return { store, ends, recording };
}

describe("a recording", () => {
  it("keeps what it was given, for its time", () => {
    const { store, ends, recording } = setUp();
    recording.add(Buffer.from('{"a":'));
    recording.add(Buffer.from("1}"));
    expect(recording.commit(META)).toBe(true);
    recording.discard();
    const found = store.get(KEY, 5999)!;
    expect([found.body.toString(), unpackMeta(found.meta)]).toEqual(['{"a":1}', META]);
    expect(store.get(KEY, 6000)).toBeNull();
    expect(ends).toEqual(["stored"]);
  });

  it("begins anew with another attempt, and ends for nothing", () => {
    const { store, ends, recording } = setUp();
    recording.add(Buffer.from("{bro"));
    recording.restart();
    recording.add(Buffer.from("{}"));
    recording.discard();
    expect(recording.commit(META)).toBe(false);
    expect([store.get(KEY, 5000), ends]).toEqual([null, ["failed"]]);
  });

  it.each([
    ["", "whole"],
    ['{"a":', "whole"],
    ["[]", "whole"],
    ['{"error":{"message":"no"}}', "whole"],
    ['{"error":"no"}', "whole"],
    ['{"status":"failed"}', "whole"],
    ['{"status":"in_progress"}', "whole"],
  ] as const)("does not keep %s", (text, mode) => {
    const { store, ends, recording } = setUp();
    recording.add(Buffer.from(text));
    expect(recording.commit({ ...META, mode })).toBe(false);
    expect([store.get(KEY, 5000), ends]).toEqual([null, ["unstorable"]]);
  });

  it.each(['{"error":null,"status":"completed"}', '{"status":"incomplete"}', '{"choices":[{"error":{}}]}'])(
    "keeps %s",
    (text) => {
      const { recording } = setUp();
      recording.add(Buffer.from(text));
      expect(recording.commit(META)).toBe(true);
    },
  );

  it("keeps nothing too long, nothing that must not be kept, nothing from before a purge", () => {
    const long = setUp();
    for (let index = 0; index < 200; index += 1) long.recording.add(Buffer.alloc(1024, " "));
    expect(long.recording.commit(META)).toBe(false);
    const unwanted = setUp(false);
    unwanted.recording.add(Buffer.from("{}"));
    expect(unwanted.recording.commit(META)).toBe(false);
    const purged = setUp();
    purged.recording.add(Buffer.from("{}"));
    purged.store.purge();
    expect(purged.recording.commit(META)).toBe(false);
    expect([long.ends, unwanted.ends, purged.ends].flat()).toEqual(["unstorable", "unstorable", "unstorable"]);
  });
});
