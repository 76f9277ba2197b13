import { describe, expect, it, vi } from "vitest";
import type { OfferedSet } from "../../../src/config/resource-set.js";
import type { Resources } from "../../../src/config/resources.js";
import { createLogger } from "../../../src/observability/logger.js";
import { Metrics } from "../../../src/observability/metrics.js";
import { allocateMailbox, Outbox, receive } from "../../../src/runtime/actor.js";
import { InForce } from "../../../src/runtime/in-force.js";

function set(revision: string): OfferedSet {
  const resources = { revision, source: "file", providerKeys: [], models: [], apiKeys: [] } as unknown as Resources;
  return { resources, entries: [], source: "file", revision };
}

function inForce(settled: () => Promise<void>, apply = (): void => {}): InForce {
  const logger = createLogger({ level: "silent", write: () => {} });
  return new InForce({ initial: set("0"), logger, metrics: new Metrics({ thread: "test" }), apply, settled });
}

describe("resources in force", () => {
  it("are told when every acceptor has them, and never go back", async () => {
    const done: (() => void)[] = [];
    const resources = inForce(() => new Promise((resolve) => done.push(resolve)));
    expect(resources.take(set("1"), "test")).toBe(true);
    expect([resources.serving.revision, resources.status.revision]).toEqual(["1", "0"]);
    const first = resources.settling;
    resources.take(set("2"), "test");
    done[1]?.();
    await resources.settling;
    expect(resources.status.revision).toBe("2");
    done[0]?.();
    await first;
    expect(resources.status.revision).toBe("2");
  });

  it("stay when others cannot be put in force, and say why", () => {
    const resources = inForce(
      () => Promise.resolve(),
      () => {
        throw new Error("too many");
      },
    );
    expect(resources.take(set("1"), "test")).toBe(false);
    expect(resources.serving.revision).toBe("0");
    expect(resources.status.refused?.errors).toEqual(["too many"]);
  });
});

describe("errors of what is refused", () => {
  it("are told in a bounded number, of a bounded length", () => {
    const resources = inForce(() => Promise.resolve());
    resources.refuse(Array.from({ length: 60_000 }, (_, index) => `${index} ${"x".repeat(1_000)}`));
    const errors = resources.status.refused?.errors ?? [];
    expect([errors.length, errors[100], errors[0]?.length]).toEqual([101, "and 59900 more", 501]);
  });
});

describe("a mailbox", () => {
  it("is read when what was sent before has been read, whatever came since", async () => {
    const memory = allocateMailbox();
    const posted: Uint8Array[] = [];
    const port = { postMessage: (bytes: Uint8Array) => posted.push(bytes), on: () => {} };
    const outbox = new Outbox<number>("one", port, memory, 8);
    let hear = (_bytes: Uint8Array): void => {};
    receive<number>(
      {
        postMessage: () => {},
        on: (_event, listener) => {
          hear = listener;
        },
      },
      memory,
      () => {},
    );
    outbox.send(1);
    let isRead = false;
    const read = outbox.read(10_000).then(() => {
      isRead = true;
    });
    outbox.flush();
    outbox.send(2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isRead).toBe(false);
    hear(posted[0] as Uint8Array);
    await vi.waitFor(() => expect(isRead).toBe(true), 10_000);
    expect(outbox.depth).toBe(1);
    outbox.close();
    await outbox.read(10_000);
    await read;
  });
});
