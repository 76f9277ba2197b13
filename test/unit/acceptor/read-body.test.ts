import type { HttpResponse } from "uWebSockets.js";
import { describe, expect, it, vi } from "vitest";
import { type BodyLimits, type BodyProblem, readBody } from "../../../src/acceptor/read-body.js";

const MIB = 1_048_576;

interface Reading {
  readonly body: Buffer | BodyProblem | null;
  /** Bytes of each buffer that was set aside. */
  readonly allocated: readonly number[];
}

/** Reads a body that comes in these pieces, each in memory that is gone once it has been read. */
function read(pieces: readonly Buffer[], limits: Partial<BodyLimits> = {}): Reading {
  let hear: (piece: ArrayBuffer, isLast: boolean) => void = () => {};
  const response = {
    onData: (handler: typeof hear) => {
      hear = handler;
    },
  } as unknown as HttpResponse;
  const allocation = vi.spyOn(Buffer, "allocUnsafeSlow");
  let body: Buffer | BodyProblem | null = null;
  try {
    readBody(response, { maxBytes: 32 * MIB, announced: -1, take: () => true, ...limits }, (result) => {
      expect(body).toBeNull();
      body = result;
    });
    for (const [index, piece] of pieces.entries()) {
      const memory = new Uint8Array(piece);
      hear(memory.buffer as ArrayBuffer, index === pieces.length - 1);
      memory.fill(0);
    }
    return { body, allocated: allocation.mock.calls.map(([size]) => size) };
  } finally {
    allocation.mockRestore();
  }
}

function cut(body: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(body.length / size) }, (_, i) => body.subarray(i * size, (i + 1) * size));
}

function bytes(length: number): Buffer {
  const body = Buffer.alloc(length);
  for (let at = 0; at < length; at += 997) body[at] = at % 251;
  return body;
}

describe("a body that is read", () => {
  it.each([0, 1, 65_535, 65_537, 300_000, MIB, 2 * MIB + 1, 25 * MIB])("comes whole: %i bytes", (length) => {
    const body = bytes(length);
    for (const size of [length <= 300_000 ? 1_000 : 100_000, 524_288]) {
      const pieces = length === 0 ? [body] : cut(body, size);
      for (const announced of [length, -1]) {
        const result = read(pieces, { announced }).body;
        expect(Buffer.isBuffer(result) && result.equals(body)).toBe(true);
      }
    }
  });

  it.each([16_384, 65_536, 524_288])("leaves little garbage when it is large, in pieces of %i bytes", (size) => {
    for (const announced of [25 * MIB, -1]) {
      const { allocated } = read(cut(bytes(25 * MIB), size), { announced });
      const outgrown = allocated.slice(0, -1).reduce((sum, each) => sum + each, 0);
      expect(outgrown).toBeLessThan(0.3 * 25 * MIB);
      if (announced > 0) expect(allocated.at(-1)).toBe(25 * MIB);
    }
  });

  it("has no more than eight times as much set aside as has come, whatever was announced", () => {
    for (const announced of [1_000_000, 30 * MIB]) {
      const pieces = cut(bytes(900_000), 10_000);
      const { allocated } = read(pieces, { announced });
      expect(Math.max(...allocated)).toBeLessThanOrEqual(8 * 900_000);
      expect(Math.max(...read(pieces.slice(0, 2), { announced }).allocated)).toBeLessThanOrEqual(8 * 20_000);
    }
  });

  it("never has more set aside than may come", () => {
    const { allocated } = read(cut(bytes(3 * MIB), 100_000), { maxBytes: 4 * MIB });
    expect(Math.max(...allocated)).toBeLessThanOrEqual(4 * MIB);
  });

  it("is refused where it goes over the limit, also beyond what it announced, and where memory is short", () => {
    const pieces = cut(bytes(3_000), 1_000);
    expect(read(pieces, { maxBytes: 2_999 }).body).toBe("too-large");
    expect(read(pieces, { maxBytes: 2_999, announced: 10 }).body).toBe("too-large");
    let taken = 0;
    const take = (more: number): boolean => {
      taken += more;
      return taken <= 2_000;
    };
    expect(read(pieces, { take }).body).toBe("no-memory");
  });
});
