import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { AuthError } from "../../../../src/providers/auth/auth.js";
import { type Grant, TokenCache } from "../../../../src/providers/auth/token-cache.js";
import { failureOf } from "./endpoint-fake.js";

const HOUR = 3_600_000;

class Endpoint {
  now = 1_000_000;
  calls = 0;
  play: () => Promise<Grant<string>> = async () => ({ token: `secret-${this.calls}`, expiresAt: this.now + HOUR });

  cache(timeoutMs = 1_000): TokenCache<string> {
    return new TokenCache({
      name: "test credentials",
      fetch: () => {
        this.calls++;
        return this.play();
      },
      now: () => this.now,
      timeoutMs,
    });
  }
}

/** Lets everything that is ready run. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await Promise.resolve();
}

describe("a kept token", () => {
  it("is fetched once for all who wait, and then at hand", async () => {
    const endpoint = new Endpoint();
    const cache = endpoint.cache();
    const all = await Promise.all(Array.from({ length: 50 }, () => cache.get()));
    expect(new Set(all)).toEqual(new Set(["secret-1"]));
    expect(endpoint.calls).toBe(1);
    expect(cache.get()).toBe("secret-1");
  });

  it("is replaced ahead of its end, once, while the old one is used", async () => {
    const endpoint = new Endpoint();
    const cache = endpoint.cache();
    await cache.get();
    endpoint.now += HOUR - 300_001;
    expect(cache.get()).toBe("secret-1");
    expect(endpoint.calls).toBe(1);
    endpoint.now += 2;
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    endpoint.play = async () => {
      await gate;
      return { token: "secret-new", expiresAt: endpoint.now + HOUR };
    };
    for (let count = 0; count < 10; count++) expect(cache.get()).toBe("secret-1");
    expect(endpoint.calls).toBe(2);
    release();
    await settled();
    expect(cache.get()).toBe("secret-new");
    expect(endpoint.calls).toBe(2);
  });

  it("that lives shortly is replaced in the last tenth of its life", async () => {
    const endpoint = new Endpoint();
    endpoint.play = async () => ({ token: "t", expiresAt: endpoint.now + 60_000 });
    const cache = endpoint.cache();
    await cache.get();
    endpoint.now += 53_000;
    cache.get();
    expect(endpoint.calls).toBe(1);
    endpoint.now += 2_000;
    cache.get();
    expect(endpoint.calls).toBe(2);
  });

  it("serves to its end when the endpoint is down, which is asked less and less often", async () => {
    const endpoint = new Endpoint();
    const cache = endpoint.cache();
    await cache.get();
    endpoint.play = () => Promise.reject(new Error("down"));
    endpoint.now += HOUR - 299_000;
    const asked: number[] = [];
    for (; endpoint.now < 1_000_000 + HOUR; endpoint.now += 500) {
      const before = endpoint.calls;
      expect(cache.get()).toBe("secret-1");
      if (endpoint.calls > before) asked.push(endpoint.now);
      await settled();
    }
    expect(asked.length).toBeGreaterThan(6);
    expect(asked.length).toBeLessThan(15);
    const failure = await failureOf(cache.get());
    expect(failure).toBeInstanceOf(AuthError);
    endpoint.now += 120_000;
    endpoint.play = async () => ({ token: "back", expiresAt: endpoint.now + HOUR });
    expect(await cache.get()).toBe("back");
  });

  it("that cannot be had fails at once for a while, without asking again", async () => {
    const endpoint = new Endpoint();
    endpoint.play = () => Promise.reject(new AuthError("refused", "no"));
    const cache = endpoint.cache();
    expect((await failureOf(cache.get())).message).toBe("no");
    expect((await failureOf(cache.get())).message).toBe("no");
    expect(endpoint.calls).toBe(1);
    endpoint.now += 1_001;
    await failureOf(cache.get());
    expect(endpoint.calls).toBe(2);
  });

  it("is not waited for longer than the time allows", async () => {
    const endpoint = new Endpoint();
    endpoint.play = () => new Promise(() => {});
    expect(await failureOf(endpoint.cache(20).get())).toMatchObject({ kind: "timeout" });
  });

  it("that has expired when it comes is a failure", async () => {
    const endpoint = new Endpoint();
    endpoint.play = async () => ({ token: "t", expiresAt: endpoint.now });
    expect(await failureOf(endpoint.cache().get())).toMatchObject({ kind: "refused" });
    endpoint.play = async () => ({ token: "t", expiresAt: Number.NaN });
    expect(await failureOf(endpoint.cache().get())).toMatchObject({ kind: "refused" });
  });

  it("shows no secret, neither its own nor that of a foreign error", async () => {
    const endpoint = new Endpoint();
    const cache = endpoint.cache();
    await cache.get();
    expect(inspect(cache, { depth: 9, showHidden: true }) + JSON.stringify(cache)).not.toContain("secret-");
    endpoint.now += HOUR * 2;
    endpoint.play = () => Promise.reject(Object.assign(new Error("POST client_secret=hush"), { code: "ECONNREFUSED" }));
    const failure = await failureOf(cache.get());
    expect(inspect(failure, { depth: 9 })).not.toContain("hush");
    expect(failure.message).toContain("ECONNREFUSED");
  });
});
