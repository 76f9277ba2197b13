/** deploy/local-fleet.sh as people start it: three nodes, three NATS servers and HAProxy, killed and ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import { type Answer, call } from "./calls.js";
import { until } from "./gateway.js";
import { NATS_PROGRAM } from "./nats.js";

const SCRIPT = fileURLToPath(new URL("../../deploy/local-fleet.sh", import.meta.url));
const START_MS = 50_000;
const BACK_MS = 20_000;

interface Place {
  readonly name: string;
  readonly pid: number | null;
  readonly url: string;
}

interface Fleet {
  readonly pid: number;
  readonly url: string;
  readonly key: string;
  readonly limited_key: string;
  readonly balancer: { readonly pid: number | null; readonly status: string };
  readonly nodes: readonly (Place & { readonly ops: string })[];
  readonly nats: readonly Place[];
}

const { findHaproxy } = (await import(new URL("../../deploy/haproxy.mjs", import.meta.url).href)) as {
  findHaproxy(): string | null;
};
const missing = [NATS_PROGRAM === null ? "nats-server" : "", findHaproxy() === null ? "haproxy" : ""].filter(Boolean);
const reason = missing.length === 0 ? "" : ` (skipped: there is no ${missing.join(", no ")})`;

function start(args: readonly string[]) {
  const child = spawn(SCRIPT, ["--no-build", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | null>((done) => child.once("close", (code) => done(code)));
  return { child, ended, output: () => output };
}

/** Of a process that runs; zero would be everybody's. */
function pidOf(place: Place | undefined): number {
  if (place?.pid == null) throw new Error(`${place?.name ?? "nobody"} does not run`);
  return place.pid;
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(reason !== "")(`a fleet on loopback${reason}`, () => {
  let directory: string;
  let running: { child: ChildProcess; ended: Promise<number | null>; output: () => string };

  const fleet = (): Fleet => JSON.parse(readFileSync(join(directory, "fleet.json"), "utf8")) as Fleet;
  const pids = (): number[] => {
    const { nodes, nats, balancer } = fleet();
    return [...nodes, ...nats, balancer].map(({ pid }) => pid).filter((pid) => pid !== null);
  };
  const ask = (key = fleet().key): Promise<Answer> =>
    call(`${fleet().url}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}` },
      body: { model: "simulator", messages: [{ role: "user", content: "Hello" }] },
    });
  const status = async (index: number): Promise<ClusterStatus> =>
    JSON.parse((await call(`${fleet().nodes[index]?.ops}/status/cluster`, { headers: {} })).text) as ClusterStatus;
  const members = async (index: number): Promise<string> =>
    (await status(index)).members
      .map(({ node }) => node)
      .sort()
      .join();

  async function countEvents(node: string): Promise<number> {
    let count = 0;
    for await (const _event of readEvents(journalDirectory(join(directory, node, "data")))) count += 1;
    return count;
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "weir-local-fleet-"));
    running = start(["--port", "0", "--directory", directory]);
    await until(() => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      return running.output().includes("curl http");
    }, START_MS);
  });

  afterAll(async () => {
    if (running?.child.exitCode === null) {
      running.child.kill("SIGTERM");
      await running.ended;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it("prints a line that works when pasted", async () => {
    const { url, key } = fleet();
    expect(running.output()).toContain(`curl ${url}/v1/chat/completions -H 'Authorization: Bearer ${key}'`);
    expect((await ask()).json()).toMatchObject({ model: "simulator" });
  });

  it("calls by way of the balancer reach all three nodes, which know each other", async () => {
    for (let index = 0; index < 20; index += 1) expect((await ask()).status).toBe(200);
    for (const { name } of fleet().nodes) expect(await countEvents(name), name).toBeGreaterThanOrEqual(5);
    for (const index of [0, 1, 2]) {
      await until(async () => (await members(index)) === "node-1,node-2,node-3");
      expect((await status(index)).nats?.state).toBe("connected");
    }
  });

  it("says no to a key that it does not know, and answers for itself", async () => {
    expect((await ask("sk-unknown")).status).toBe(401);
    const { balancer } = fleet();
    expect((await call(`${balancer.status}/healthz`, { headers: {} })).status).toBe(200);
    const figures = (await call(`${balancer.status}/metrics`, { headers: {} })).text;
    expect(figures).toContain('haproxy_server_status{proxy="nodes",server="weir-3",state="UP"} 1');
  });

  it("goes on when a node is killed, which comes back with its data", async () => {
    const [, victim] = fleet().nodes;
    const pid = pidOf(victim);
    const before = await countEvents("node-2");
    process.kill(pid, "SIGKILL");
    // A connection that was being made may break with it; what is asked from now on does not.
    await until(() => !lives(pid));
    for (let index = 0; index < 20; index += 1) expect((await ask()).status).toBe(200);
    await until(() => ![null, pid].includes(fleet().nodes[1]?.pid ?? null), BACK_MS);
    await until(async () => (await members(1).catch(() => "")) === "node-1,node-2,node-3", BACK_MS);
    await until(async () => {
      await ask();
      return (await countEvents("node-2")) > before;
    }, BACK_MS);
    expect(running.output()).toContain("node-2 was ended by SIGKILL; it starts again");
  });

  it("goes on when a NATS server is killed", async () => {
    const pid = pidOf(fleet().nats[0]);
    process.kill(pid, "SIGKILL");
    for (let index = 0; index < 10; index += 1) expect((await ask()).status).toBe(200);
    await until(() => ![null, pid].includes(fleet().nats[0]?.pid ?? null), BACK_MS);
    for (const index of [0, 1, 2]) {
      await until(async () => {
        const { nats, usage } = await status(index);
        return nats?.state === "connected" && usage?.backlog_bytes === 0;
      }, BACK_MS);
    }
  });

  it("fails no request and cuts no stream while each node is restarted in its turn", async () => {
    const tally = new Map<string, number>();
    let isOver = false;
    const count = (outcome: string) => tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
    const askOn = async (stream: boolean): Promise<void> => {
      while (!isOver) {
        const knobs = stream ? { words: 25, gap_ms: 60 } : { delay_ms: 20 };
        const body = { model: "simulator", stream, messages: [{ role: "user", content: "Hi" }] };
        const headers = { authorization: `Bearer ${fleet().key}` };
        const asked = call(`${fleet().url}/v1/chat/completions`, {
          headers,
          body: { ...body, metadata: { simulator: knobs } },
        });
        const outcome = await asked.then(
          ({ status, text }) => `${status}${!stream || text.includes("[DONE]") ? "" : " cut"}`,
          (error: Error) => error.message,
        );
        count(`${stream ? "stream" : "whole"}: ${outcome}`);
      }
    };
    const asking = [true, true, true, true, false, false].map(askOn);
    for (const index of [0, 1, 2]) {
      const pid = pidOf(fleet().nodes[index]);
      process.kill(pid, "SIGTERM");
      await until(() => ![null, pid].includes(fleet().nodes[index]?.pid ?? null), BACK_MS);
      await until(async () => {
        const { text } = await call(`${fleet().balancer.status}/metrics`, { headers: {} });
        return text.includes(`haproxy_server_status{proxy="nodes",server="weir-${index + 1}",state="UP"} 1`);
      }, BACK_MS);
    }
    isOver = true;
    await Promise.all(asking);
    expect([...tally.keys()].sort()).toEqual(["stream: 200", "whole: 200"]);
    expect(tally.get("stream: 200")).toBeGreaterThan(10);
  }, 120_000);

  it("ends with everything that it started, and keeps a directory that was named", async () => {
    const all = pids();
    expect(all.length).toBe(7);
    running.child.kill("SIGTERM");
    expect(await running.ended, running.output()).toBe(0);
    expect(all.filter(lives)).toEqual([]);
    expect(await countEvents("node-1")).toBeGreaterThan(0);
    for (const name of ["node-1", "node-2", "node-3"]) {
      const log = readFileSync(join(directory, name, "log"), "utf8");
      expect(log).toContain('"msg":"stopped"');
      // The users of deploy/nats have the rights that nodes need, in a cluster too.
      expect(log).not.toMatch(/permissions violation/i);
    }
  });
});
