import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { AwsCredentials } from "../../../../src/providers/auth/aws.js";
import { processKeys, wordsOf } from "../../../../src/providers/auth/aws-process.js";
import { CHAIN, headers, signedWith, sts } from "./aws-fake.js";
import { failureOf, REQUEST, type TestWorld, world } from "./endpoint-fake.js";

const directory = mkdtempSync(join(tmpdir(), "weir process "));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Processes start slowly on a busy machine. */
const WAIT = { timeout: 10_000 };

let scripts = 0;
/** The command that runs this JavaScript; its path has a space in it. */
function command(source: string): string {
  const path = join(directory, `script-${++scripts}.cjs`);
  writeFileSync(path, source);
  return `"${process.execPath}" "${path}"`;
}

function printing(value: unknown): string {
  return command(`process.stdout.write(${JSON.stringify(typeof value === "string" ? value : JSON.stringify(value))})`);
}

function worldOf(line: string, environment: Record<string, string> = {}): TestWorld {
  return world(environment, { "/h/.aws/config": `[default]\ncredential_process = ${line}` });
}

const KEYS = { Version: 1, AccessKeyId: "PROC", SecretAccessKey: "s" };

describe("a command line", () => {
  it.each([
    ["a b  c", ["a", "b", "c"]],
    ["\"a b\" c'd e'f", ["a b", "cd ef"]],
    [`a "" ''`, ["a", "", ""]],
    [String.raw`a\ b "c\"d" 'e\f' "g\h\\"`, ["a b", 'c"d', String.raw`e\f`, String.raw`g\h` + "\\"]],
    ["$HOME `id` ; a|b", ["$HOME", "`id`", ";", "a|b"]],
    ["", []],
  ])("%s is parted into words", (line, words) => {
    expect(wordsOf(line)).toEqual(words);
  });

  it("with a quote that does not end is refused, unsaid", () => {
    expect(() => wordsOf("a 'hush")).toThrow(/quote/);
    expect(() => wordsOf("a 'hush")).not.toThrow(/hush/);
  });
});

describe("a profile with a credential_process", () => {
  it("signs with what the command prints", async () => {
    const expiring = { ...KEYS, SessionToken: "pt", Expiration: "2025-01-02T04:04:05Z" };
    expect(await signedWith(worldOf(printing(expiring)))).toEqual(["PROC", "pt"]);
    expect(await signedWith(worldOf(printing(KEYS)))).toEqual(["PROC", ""]);
  });

  it("hands the parameters over as they are, without a shell, and the gateway's environment", async () => {
    const script = command(
      `const [, , a, b] = process.argv; process.stdout.write(JSON.stringify({...${JSON.stringify(KEYS)}, AccessKeyId: a + b, SessionToken: process.env.GIVEN}))`,
    );
    const signed = await signedWith(worldOf(`${script} "\${GIVEN}" '&&x'`, { GIVEN: "env" }));
    expect(signed).toEqual([`\${GIVEN}&&x`, "env"]);
  });

  it("runs it again ahead of the keys' end, and goes on with the old ones meanwhile", async () => {
    const counter = join(directory, "count");
    const source = `const fs = require("fs"); const path = ${JSON.stringify(counter)};
      const count = fs.existsSync(path) ? Number(fs.readFileSync(path, "utf8")) + 1 : 1;
      fs.writeFileSync(path, String(count));
      const Expiration = count === 1 ? "2025-01-02T04:04:05Z" : "2025-01-02T05:04:05Z";
      process.stdout.write(JSON.stringify({ Version: 1, AccessKeyId: "RUN" + count, SecretAccessKey: "s", Expiration }));`;
    const at = worldOf(command(source));
    const credentials = new AwsCredentials(CHAIN, "us-east-1", at.context);
    await Promise.all([headers(credentials), headers(credentials)]);
    expect(readFileSync(counter, "utf8")).toBe("1");
    at.clock.now += 56 * 60_000;
    expect(credentials.headers(REQUEST)).not.toBeInstanceOf(Promise);
    await vi.waitUntil(async () => (await headers(credentials)).authorization?.includes("RUN2"), WAIT);
  });

  it("may be the source of a role", async () => {
    const endpoint = await sts();
    const config = `[profile base]\ncredential_process = ${printing(KEYS)}
[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nduration_seconds = 900`;
    const at = world({ AWS_ENDPOINT_URL_STS: endpoint.url }, { "/h/.aws/config": config });
    expect(await signedWith(at)).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(endpoint.seen[0]?.headers.authorization).toContain("Credential=PROC/");
    expect(new URLSearchParams(endpoint.seen[0]?.body).get("DurationSeconds")).toBe("900");
  });

  it.each([
    ["no JSON", () => printing("hush hush"), "refused"],
    ["another version", () => printing({ ...KEYS, Version: "hush" }), "refused"],
    ["no secret", () => printing({ Version: 1, AccessKeyId: "hush" }), "refused"],
    ["no time", () => printing({ ...KEYS, Expiration: "hush" }), "refused"],
    ["keys that have ended", () => printing({ ...KEYS, Expiration: "2024-01-02T04:04:05Z" }), "refused"],
    ["a header's end", () => printing({ ...KEYS, SessionToken: "hush\r\nx: y" }), "refused"],
    ["too much", () => command(`for (;;) process.stdout.write("hush".repeat(10_000))`), "refused"],
    ["a failure", () => command(`console.error("hush"); console.log("hush"); process.exit(3)`), "refused"],
    ["nothing, since it is not there", () => "/nowhere/hush", "configuration"],
    ["nothing, since it is empty", () => "", "configuration"],
  ])("is refused without a word of its output: %s", async (_, line, kind) => {
    const failure = await failureOf(signedWith(worldOf(line())));
    expect(failure).toMatchObject({ name: "AuthError", kind });
    expect(failure.message).toMatch(/credential_process|expired/);
    expect(failure.message).not.toContain("hush");
  });

  it("ends at the size's bound, not at that of the time", async () => {
    const flood = command(`process.stdout.write("x".repeat(65_537)); setInterval(() => {}, 1_000)`);
    expect((await failureOf(signedWith(worldOf(flood)))).message).toContain("65536");
    const brim = command(
      `const text = ${JSON.stringify(JSON.stringify(KEYS))}; process.stdout.write(text + " ".repeat(65_536 - text.length))`,
    );
    expect(await signedWith(worldOf(brim))).toEqual(["PROC", ""]);
  });

  it("does not wait for one that never ends, and ends what that has started", async () => {
    const pids = join(directory, "pids");
    const source = `const child = require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
      require("fs").writeFileSync(${JSON.stringify(pids)}, process.pid + " " + child.pid); setInterval(() => {}, 1000);`;
    const controller = new AbortController();
    const failing = failureOf(processKeys(worldOf("").context, command(source), controller.signal));
    await vi.waitUntil(() => existsSync(pids) && readFileSync(pids, "utf8").includes(" "), WAIT);
    controller.abort();
    expect(await failing).toMatchObject({ kind: "timeout" });
    const alive = (pid: string): boolean => /^State:\s+[^ZX\s]/m.test(statusOf(pid));
    await vi.waitUntil(() => !readFileSync(pids, "utf8").split(" ").some(alive), WAIT);
  });

  it("has no more time than any other source", async () => {
    const { context } = worldOf(command("setInterval(() => {}, 1000)"));
    const credentials = new AwsCredentials(CHAIN, "us-east-1", { ...context, timeoutMs: 300 });
    expect(await failureOf(credentials.headers(REQUEST))).toMatchObject({ kind: "timeout" });
  });
});

/** What the system says of a process; "" = it is gone. */
function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
