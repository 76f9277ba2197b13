import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { LogOutput, LogSink } from "../../../src/observability/log-sink.js";

describe("LogSink", () => {
  test("batches lines, ends each, and tells of the first only", () => {
    const onFirst = vi.fn();
    const sink = new LogSink(onFirst);
    sink.write("one");
    sink.write("two\nthree\n");
    sink.write("");
    expect(onFirst).toHaveBeenCalledTimes(1);
    expect(sink.waitingBytes).toBe("one\ntwo\nthree\n".length);
    expect(sink.take()?.toString()).toBe("one\ntwo\nthree\n");
    expect(sink.take()).toBeNull();
    sink.write("four");
    expect(onFirst).toHaveBeenCalledTimes(2);
  });

  test("drops and counts what does not fit, and has room again once taken", () => {
    const sink = new LogSink(null, 10);
    sink.write("12345678");
    sink.write("123");
    expect(sink.dropped).toBe(1);
    expect(sink.take()?.toString()).toBe("12345678\n");
    sink.write("123");
    expect(sink.take()?.toString()).toBe("123\n");
    expect(sink.dropped).toBe(1);
  });
});

describe("LogOutput", () => {
  test("writes everything, in order", async () => {
    const folder = mkdtempSync(join(tmpdir(), "log-"));
    const file = openSync(join(folder, "out.log"), "a");
    try {
      const output = new LogOutput(file);
      let expected = "";
      for (let index = 0; index < 5000; index += 1) {
        output.sink.write(`line ${index} é`);
        expected += `line ${index} é\n`;
      }
      await vi.waitFor(() => expect(readFileSync(join(folder, "out.log"), "utf8")).toBe(expected), 15_000);
      output.sink.write("last");
      await vi.waitFor(() => expect(readFileSync(join(folder, "out.log"), "utf8")).toBe(`${expected}last\n`), 15_000);
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true });
    }
  });

  test("is not held up by a reader that does not read, and stays bounded", { timeout: 20_000 }, async () => {
    const sink = new URL("../../../src/observability/log-sink.ts", import.meta.url).href;
    const script = `
      import { LogOutput } from ${JSON.stringify(sink)};
      const output = new LogOutput(1, { limit: 1000000 });
      const line = "x".repeat(999);
      let ticks = 0;
      const timer = setInterval(() => {
        for (let index = 0; index < 500; index += 1) output.sink.write(line);
        if (++ticks < 10) return;
        clearInterval(timer);
        process.stderr.write(JSON.stringify({ ticks, dropped: output.sink.dropped }) + "\\n");
      }, 1);`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
    try {
      const said = await new Promise<string>((resolve) => child.stderr.once("data", (data) => resolve(String(data))));
      const { ticks, dropped } = JSON.parse(said);
      expect(ticks).toBe(10);
      expect(dropped).toBeGreaterThan(2000);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
