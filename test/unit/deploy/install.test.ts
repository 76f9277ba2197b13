import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

interface Install {
  checkNodeVersion(version?: string): void;
  sameVersions(wanted: string, installed: string): boolean;
  withLock<Value>(lock: string, action: () => Value | Promise<Value>, waitMs?: number): Promise<Value>;
}

const script = new URL("../../../deploy/install.mjs", import.meta.url).href;
const { checkNodeVersion, sameVersions, withLock } = (await import(script)) as Install;

describe("checkNodeVersion", () => {
  it.each(["20.18.1", "20.19.0", "22.0.0", "24.1.0-nightly"])("takes %s", (version) => {
    expect(() => checkNodeVersion(version)).not.toThrow();
  });

  it.each(["20.18.0", "20.9.9", "18.20.8"])("refuses %s and says what it needs", (version) => {
    expect(() => checkNodeVersion(version)).toThrow(`needs Node.js 20.18.1 or newer; this is ${version}`);
  });
});

describe("sameVersions", () => {
  const lock = (packages: Record<string, object>): string => JSON.stringify({ packages: { "": {}, ...packages } });
  const wanted = lock({
    "node_modules/zod": { version: "4.0.0" },
    "node_modules/other-system": { version: "1.0.0", optional: true },
  });

  it("takes an installation that left out another system's optional package", () => {
    expect(sameVersions(wanted, lock({ "node_modules/zod": { version: "4.0.0" } }))).toBe(true);
  });

  it.each([
    ["another version", lock({ "node_modules/zod": { version: "3.9.0" } })],
    ["a missing package", lock({})],
    ["nothing installed", ""],
    ["a torn account", '{"packages":{"node_mod'],
  ])("refuses %s", (_what, installed) => {
    expect(sameVersions(wanted, installed)).toBe(false);
  });
});

describe("withLock", () => {
  let folder = "";
  const lock = (): string => join(folder, "lock");

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "weir-lock-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function abandon(pid: number, host: string): void {
    mkdirSync(lock());
    writeFileSync(join(lock(), "owner"), JSON.stringify({ pid, host }));
  }

  it("lets one process in at a time", async () => {
    const log = join(folder, "log");
    const program = `
      import { appendFileSync } from "node:fs";
      import { setTimeout as delay } from "node:timers/promises";
      const { withLock } = await import(${JSON.stringify(script)});
      for (let round = 0; round < 5; round++) {
        await withLock(${JSON.stringify(lock())}, async () => {
          appendFileSync(${JSON.stringify(log)}, "in ");
          await delay(5);
          appendFileSync(${JSON.stringify(log)}, "out ");
        });
      }`;
    const codes = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise((resolve) => {
            const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "ignore" });
            child.once("exit", resolve);
          }),
      ),
    );
    expect(codes).toEqual([0, 0, 0]);
    expect(readFileSync(log, "utf8")).toBe("in out ".repeat(15));
    expect(existsSync(lock())).toBe(false);
  });

  it("takes over from a process that is gone", async () => {
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    const pid = child.pid!;
    await new Promise((resolve) => child.once("exit", resolve));
    abandon(pid, hostname());
    await expect(withLock(lock(), () => "mine", 5_000)).resolves.toBe("mine");
    expect(existsSync(lock())).toBe(false);
  });

  it("gives up after the wait and names the holder", async () => {
    abandon(process.ppid, hostname());
    await expect(withLock(lock(), () => "mine", 150)).rejects.toThrow(`held by process ${process.ppid}`);
    expect(existsSync(lock())).toBe(true);
  });

  it("does not judge a process of another machine", async () => {
    abandon(2 ** 22 + 1, "elsewhere.invalid");
    await expect(withLock(lock(), () => "mine", 150)).rejects.toThrow("still held");
  });

  it("is released when the action throws", async () => {
    await expect(withLock(lock(), () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(existsSync(lock())).toBe(false);
  });
});
