/** The image, and the service of a system without one. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { configOf, drainSeconds, pathOf, textOf } from "./files.js";

const dockerfile = textOf("Dockerfile");
const stages = dockerfile.split(/^FROM /m).slice(1);
const last = stages.at(-1) ?? "";
const config = configOf("image/weir.yaml");

function inTree(path: string): boolean {
  return existsSync(pathOf(`../${path}`));
}

/** The health check's exit code against a server that answers with this status; null = one that is not there. */
async function healthOf(status: number | null): Promise<number | null> {
  const server = createServer((_request, response) => response.writeHead(status ?? 500).end());
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  if (status === null) await new Promise((done) => server.close(done));
  const environment = { HEALTH_URL: `http://127.0.0.1:${port}/readyz` };
  const child = spawn(process.execPath, [pathOf("image/healthcheck.mjs")], { env: environment, stdio: "ignore" });
  const code = await new Promise<number | null>((done) => child.once("exit", done));
  server.close();
  return code;
}

describe("the image", () => {
  it("is made of files that are there, and that the build is given", () => {
    const given =
      textOf("../.dockerignore")
        .match(/^!(.+)$/gm)
        ?.map((line) => line.slice(1)) ?? [];
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => match[1]!.split(" "));
    expect(copied.length).toBeGreaterThan(4);
    for (const path of copied) {
      expect(inTree(path), path).toBe(true);
      expect(
        given.some((one) => path === one || path.startsWith(`${one}/`)),
        path,
      ).toBe(true);
    }
  });

  it("runs nothing in its last stage that would need a shell there", () => {
    expect(last).not.toMatch(/^RUN /m);
    for (const line of last.match(/^(?:\s*CMD|ENTRYPOINT) .*$/gm) ?? []) expect(line).toMatch(/\["/);
    expect(last).toMatch(/^\$\{RUNTIME_IMAGE\}$/m);
  });

  it("is not root, ends by draining, and tells its health", () => {
    expect(last).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m);
    expect(last).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(last).toMatch(/^HEALTHCHECK /m);
  });

  it("opens the ports that its configuration names, and writes where it may", () => {
    expect(last).toContain(`EXPOSE ${config.listen.port} ${config.ops.listen.port}`);
    expect(last).toContain(`VOLUME ["${config.data_dir}"]`);
    expect([config.listen.host, config.ops.listen.host]).toEqual(["0.0.0.0", "0.0.0.0"]);
    expect(textOf("image/healthcheck.mjs")).toContain(`127.0.0.1:${config.ops.listen.port}/readyz`);
  });

  it("installs what the lock file says, and runs no package's scripts", () => {
    for (const line of dockerfile.match(/^RUN .*npm.*$/gm) ?? []) {
      if (line.includes('"run"')) continue;
      expect(line).toContain('"ci"');
      expect(line).toContain("--ignore-scripts");
    }
    expect(stages.find((stage) => stage.includes("AS packages"))).toContain("--omit=dev");
  });
});

describe("the health check", () => {
  it.each([
    [200, 0],
    [503, 1],
    [null, 1],
  ])("with an answer of %s ends with %i", async (status, code) => {
    expect(await healthOf(status)).toBe(code);
  });
});

describe("the system's service", () => {
  const unit = textOf("systemd/weir.service");
  const settings = new Map([...unit.matchAll(/^([A-Za-z]+)=(.*)$/gm)].map((match) => [match[1]!, match[2]!]));

  it("drains, has the time for it, and reloads", () => {
    expect(settings.get("KillSignal")).toBe("SIGTERM");
    expect(Number(settings.get("TimeoutStopSec"))).toBeGreaterThan(drainSeconds(config) + 10);
    expect(settings.get("ExecReload")).toContain("-HUP $MAINPID");
  });

  it("runs what is built, as a user that may write its state and nothing else", () => {
    expect(settings.get("ExecStart")).toMatch(/node \S+\/dist\/main\.js serve --config \S+ --resources \S+$/);
    expect(settings.get("DynamicUser")).toBe("yes");
    expect(settings.get("ProtectSystem")).toBe("strict");
    expect(settings.get("Environment")).toContain(`WEIR_DATA_DIR=/var/lib/${settings.get("StateDirectory")}`);
  });

  it("does not forbid what the engine does", () => {
    expect(settings.has("MemoryDenyWriteExecute")).toBe(false);
  });
});
