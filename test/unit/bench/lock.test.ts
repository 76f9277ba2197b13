import { describe, expect, it } from "vitest";
import { takeTurn } from "../../../bench/load/lock.js";

describe("takeTurn", () => {
  it("gives the turn once, tells of the wait, and gives up in the end", async () => {
    const name = `\0weir-load-rig-test-${process.pid}`;
    let waits = 0;
    const waiting = (): void => {
      waits++;
    };
    await takeTurn(0, waiting, name);
    expect(waits).toBe(0);
    await expect(takeTurn(0, waiting, name)).rejects.toThrow(/another load rig/);
    expect(waits).toBe(1);
  });
});
