/** What the nodes share: the balancer, the users of NATS, and the fleet on loopback. */
import { execFile } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { fleetNames, nameRows } from "../../../src/cluster/subjects.js";
import { configOf, pathOf, textOf } from "./files.js";

interface Options {
  readonly nodes: number;
  readonly port: number;
  readonly directory: string | null;
  readonly seconds: number | null;
  readonly build: boolean;
}

const local = new URL("../../../deploy/local-fleet/", import.meta.url).href;
const { readOptions } = (await import(`${local}options.mjs`)) as {
  readOptions(argv: readonly string[]): Options | null;
};
const { findPrograms } = (await import(`${local}programs.mjs`)) as {
  findPrograms(found: Record<string, string | null>): Record<string, string>;
};
const { findPorts } = (await import(`${local}plan.mjs`)) as {
  findPorts(base: number, nodes: number): Promise<Record<string, number[]>>;
};
const { findHaproxy } = (await import(new URL("../../../deploy/haproxy.mjs", import.meta.url).href)) as {
  findHaproxy(): string | null;
};
const { findNatsServer } = (await import(new URL("../../../deploy/nats-server.mjs", import.meta.url).href)) as {
  findNatsServer(): string | null;
};

function run(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
  return new Promise((done) => {
    execFile(program, args, { env }, (error, stdout, stderr) => done(error === null ? "" : `${stdout}${stderr}`));
  });
}

const haproxy = findHaproxy();
const nats = findNatsServer();

describe("the balancer's configuration", () => {
  const text = textOf("haproxy/haproxy.cfg");
  const seconds = (setting: string): number => {
    const [, value, unit] = new RegExp(`${setting} (\\d+)(ms|s|m)\\b`).exec(text) ?? [];
    return Number(value) * ({ ms: 0.001, s: 1, m: 60 }[unit ?? ""] ?? Number.NaN);
  };

  it.skipIf(haproxy === null).each([
    ["one node", {}],
    ["six nodes", Object.fromEntries([2, 3, 4, 5, 6].map((at) => [`WEIR_NODE_${at}`, `127.0.0.1:${3000 + at}`]))],
    ["names, and a balancer before it", { WEIR_RESOLVE: "1", WEIR_ACCEPT_PROXY: "1" }],
  ])(`is taken by haproxy${haproxy === null ? " (skipped: there is no haproxy)" : ""}: %s`, async (_what, more) => {
    const env = {
      WEIR_BALANCER_LISTEN: "127.0.0.1:8080",
      WEIR_BALANCER_STATUS: "127.0.0.1:8405",
      WEIR_NODE_1: "127.0.0.1:3001",
      ...more,
    };
    expect(await run(haproxy ?? "", ["-c", "-f", pathOf("haproxy/haproxy.cfg")], env)).toBe("");
  });

  it.each(["image", "compose", "kubernetes"])("fits the times of deploy/%s/weir.yaml", (folder) => {
    const { drain, limits, timeouts } = configOf(`${folder}/weir.yaml`);
    for (const side of ["client", "server"]) {
      expect(seconds(`timeout ${side}`)).toBeGreaterThan(timeouts.request_ms / 1000);
    }
    const falls = Number(/ fall (\d+) /.exec(text)?.[1]);
    const noticed = seconds(" inter") + (falls - 1) * seconds("fastinter");
    expect(drain.notice_ms / 1000).toBeGreaterThanOrEqual(2 * noticed);
    expect(Number(/tune\.bufsize (\d+)/.exec(text)?.[1])).toBeGreaterThan(limits.header_bytes);
  });

  it("repeats nothing that a node may have begun, and believes no caller's word on its address", () => {
    expect(text).toMatch(/^ {2}retry-on conn-failure$/m);
    expect(text).toMatch(/http-request set-header x-forwarded-for %\[src\]/);
    expect(text).not.toMatch(/%HU|%r\b/);
  });
});

describe("the users of NATS", () => {
  const rightsIn = (content: string): string => /permissions[^`]*/.exec(content)?.[0].trim() ?? "";

  it("give a node the rights that docs/operations.md shows", () => {
    const shown = /```text\n(permissions[^`]*)```/.exec(textOf("../docs/operations.md"))?.[1] ?? "";
    expect(rightsIn(textOf("nats/node.conf")), "Change both together.").toBe(shown.trim());
    expect(shown).not.toBe("");
  });

  it("give a reader nothing but usage and its sums", () => {
    const granted = textOf("nats/reader.conf").match(/"[^"]+"/g) ?? [];
    const names = fleetNames("weir");
    const allowed = [names.usageStream, `KV_${names.rollupBucket}`];
    const others = nameRows(names, "weir").filter(({ kind }) => kind !== "subject");
    for (const right of granted.filter((one) => one.includes("$JS.API.") && one !== '"$JS.API.INFO"')) {
      expect(
        allowed.some((name) => new RegExp(`\\.${name}[."]`).test(right)),
        right,
      ).toBe(true);
      expect(right).not.toMatch(/DELETE|PURGE|UPDATE|STREAM\.CREATE|API\.\*/);
    }
    const rest = others
      .map(({ name }) => name)
      .filter((name) => ![names.usageStream, names.rollupBucket].includes(name));
    for (const name of rest) expect(granted.join()).not.toContain(name);
  });

  it.skipIf(nats === null)(`are taken by nats-server${nats === null ? " (skipped: there is none)" : ""}`, async () => {
    const read = textOf("nats/nats.conf") + textOf("nats/accounts.conf");
    const env: Record<string, string> = {};
    for (const name of read.match(/\$NATS_[A-Z_]+/g) ?? []) env[name.slice(1)] = "secret";
    for (const name of ["NATS_LISTEN", "NATS_MONITOR", "NATS_CLUSTER_LISTEN"]) env[name] = "127.0.0.1:4222";
    env.NATS_ROUTES = '["nats://route:secret@127.0.0.1:6223"]';
    expect(await run(nats ?? "", ["-t", "-c", pathOf("nats/nats.conf")], env)).toBe("");
  });
});

describe("the command line of the local fleet", () => {
  it("has defaults", () => {
    expect(readOptions([])).toEqual({ nodes: 3, port: 8400, directory: null, seconds: null, build: true });
  });

  it("takes all of it", () => {
    const argv = ["--nodes", "5", "--port", "0", "--directory", "here", "--for", "30", "--no-build"];
    expect(readOptions(argv)).toEqual({ nodes: 5, port: 0, directory: "here", seconds: 30, build: false });
    expect(readOptions(["--help"])).toBeNull();
  });

  it.each([["--nodes", "7"], ["--nodes", "0"], ["--port", "x"], ["--for", "-1"], ["--fly"], ["more"]])(
    "refuses %s %s, and says how it is used",
    (...argv) => {
      expect(() => readOptions(argv)).toThrow(/usage: deploy\/local-fleet\.sh/);
    },
  );
});

describe("the local fleet", () => {
  it("says how to install what is missing", () => {
    const found = { "nats-server": "/usr/sbin/nats-server", haproxy: "/usr/sbin/haproxy" };
    expect(findPrograms(found)).toBe(found);
    expect(() => findPrograms({ ...found, haproxy: null })).toThrow("there is no haproxy here; on Debian");
    expect(() => findPrograms({ "nats-server": null, haproxy: null })).toThrow("apt-get install nats-server haproxy");
  });

  it("finds free ports, no two the same", async () => {
    const ports = await findPorts(0, 6);
    const all = Object.values(ports).flat();
    expect(ports.node?.length).toBe(6);
    expect(new Set(all).size).toBe(2 + 2 * 6 + 3 * 3);
  });

  it("says which port is taken", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    try {
      await expect(findPorts(port, 1)).rejects.toThrow(`port ${port} (proxy) is taken: give another base with --port`);
    } finally {
      server.close();
    }
  });
});
