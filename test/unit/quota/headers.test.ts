import { expect, it } from "vitest";
import { isFailure } from "../../../src/errors.js";
import { rateLimitHeaders } from "../../../src/quota/headers.js";
import type { LimitLayer } from "../../../src/quota/layers.js";
import { admitLayers } from "../../../src/quota/lease.js";
import { keyLayer, NOON, setUpTables } from "./quota-setup.js";

function told(layers: readonly LimitLayer[], tokens: number, headers: string[] = []): string[] {
  const lease = admitLayers(setUpTables().table, layers, tokens, () => NOON + 500);
  if (isFailure(lease)) throw new Error("refused");
  rateLimitHeaders(lease, NOON + 2_600, headers);
  return headers;
}

it("the limit with least left is told, requests and tokens apart", () => {
  const layers = [keyLayer({ rpm: 100, rph: 90, tpd: 5_000 }), keyLayer({ rpd: 95, tpm: 6_000, tpd: 5_500 }, 1)];
  expect(told(layers, 300)).toEqual([
    ...["x-ratelimit-limit-requests", "90", "x-ratelimit-remaining-requests", "89"],
    ...["x-ratelimit-reset-requests", "3598s"],
    ...["x-ratelimit-limit-tokens", "5000", "x-ratelimit-remaining-tokens", "4700"],
    ...["x-ratelimit-reset-tokens", "43198s"],
  ]);
});

it("a window that is over resets in 0 seconds", () => {
  expect(told([keyLayer({ rps: 3 })], 1)).toEqual([
    ...["x-ratelimit-limit-requests", "3", "x-ratelimit-remaining-requests", "2"],
    ...["x-ratelimit-reset-requests", "0s"],
  ]);
});

it("what a request cannot reserve any more is nothing left", () => {
  expect(told([keyLayer({ tpm: 100 })], 900)).toContain("x-ratelimit-remaining-tokens");
  expect(told([keyLayer({ tpm: 100 })], 900)[3]).toBe("0");
});

it("an upstream's own are replaced; without a window of one's own they stay", () => {
  const upstream = () => ["x-ratelimit-limit-tokens", "7", "content-type", "a/b", "x-ratelimit-reset-requests", "1s"];
  expect(told([keyLayer({ rpm: 2 })], 1, upstream())).toEqual([
    ...["content-type", "a/b", "x-ratelimit-limit-requests", "2", "x-ratelimit-remaining-requests", "1"],
    ...["x-ratelimit-reset-requests", "58s"],
  ]);
  expect(told([keyLayer({ concurrency: 2 })], 1, upstream())).toEqual(upstream());
});
