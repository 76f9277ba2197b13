import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogSink } from "../../../src/observability/log-sink.js";
import { AccessLog, createLogger, timeText } from "../../../src/observability/logger.js";
import { accessLine } from "./access-line.js";
import { sampleAccess } from "./sample-access.js";

function logger(level: "info" | "debug" = "info") {
  const lines: string[] = [];
  return { lines, log: createLogger({ level, write: (line) => lines.push(line), bindings: { thread: "main" } }) };
}

describe("createLogger", () => {
  test("writes JSON lines with level names, UTC times and bindings", () => {
    const { log, lines } = logger();
    log.debug("not shown");
    log.info({ port: 3000 }, "listening");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/}\n$/);
    const line = JSON.parse(lines[0] as string);
    expect(line).toMatchObject({ level: "info", thread: "main", port: 3000, msg: "listening" });
    expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("blanks out credentials by the name of the field, at any depth", () => {
    const { log, lines } = logger();
    const secret = "hunter2-hunter2";
    log.info({
      authorization: secret,
      headers: { "X-Api-Key": secret, "api-key": secret, cookie: secret, accept: "kept" },
      provider_keys: [{ name: "kept too", api_key: secret, secret }],
    });
    log.child({ password: secret }).child({ token: secret }).warn("child");
    expect(lines.join("")).not.toContain(secret);
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      authorization: "[redacted]",
      headers: { accept: "kept" },
      provider_keys: [{ name: "kept too" }],
    });
  });

  test("blanks out texts that look like credentials, in messages and errors", () => {
    const { log, lines } = logger();
    log.info("sent Bearer abcdefgh12345678 to https://user:opensesame@host/?api_key=verysecret&x=1");
    const error = Object.assign(
      new Error("key sk-proj-abcdefghijklmnop refused", { cause: new Error("sk-ant-0123456789abcdef") }),
      {
        code: "ERR_KEY",
        token: "opaque-value",
      },
    );
    log.error({ err: error }, "failed");
    log.error(error);
    const all = lines.join("");
    for (const secret of [
      "abcdefgh12345678",
      "opensesame",
      "verysecret",
      "abcdefghijklmnop",
      "0123456789abcdef",
      "opaque",
    ]) {
      expect(all).not.toContain(secret);
    }
    expect(all).toContain("&x=1");
    expect(JSON.parse(lines[1] as string)).toMatchObject({ msg: "failed", err: { type: "Error", code: "ERR_KEY" } });
    for (const line of lines) JSON.parse(line);
  });

  test("survives cycles, bytes and big numbers", () => {
    const { log, lines } = logger();
    const cycle: Record<string, unknown> = { bytes: Buffer.from("prompt"), big: 1n };
    cycle.self = cycle;
    log.info(cycle, "odd");
    expect(JSON.parse(lines[0] as string)).toMatchObject({ msg: "odd", bytes: "[6 bytes]", big: "1" });
  });
});

describe("accessLine", () => {
  test("is one line of JSON whatever a client sends", () => {
    const foreign = fc.string({ unit: "binary", maxLength: 600 });
    fc.assert(
      fc.property(foreign, foreign, foreign, (model, agent, path) => {
        const line = accessLine(sampleAccess({ model, user_agent: agent, path }));
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        const fields = JSON.parse(line);
        expect(fields.model).toBe(model.slice(0, 256));
        expect(fields.user_agent).toBe(agent.slice(0, 256));
        expect(fields.path).not.toContain("?");
      }),
      { numRuns: 50 },
    );
  });

  test("leaves the query out, rounds times, and says null for unknown counts", () => {
    const line = accessLine(sampleAccess({ path: "/v1/models?key=secret", input_tokens: -1, status: 503 }));
    expect(line).not.toContain("secret");
    expect(JSON.parse(line)).toMatchObject({
      time: "2026-01-31T12:00:00.007Z",
      level: "warn",
      path: "/v1/models",
      duration_ms: 12.346,
      input_tokens: null,
      output_tokens: 5,
    });
  });

  test("goes through the access log into its sink", () => {
    const sink = new LogSink();
    new AccessLog(sink).write(sampleAccess());
    expect(sink.take()?.toString()).toBe(`${accessLine(sampleAccess())}\n`);
  });
});

test("timeText says what toISOString says", () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date("2999-12-31"), noInvalidDate: true }), (date) => {
      expect(timeText(date.getTime())).toBe(date.toISOString());
    }),
  );
});
