/** What the loader is pointed at: the upstream itself, nginx before it, the gateway before it, a bare proxy. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import {
  endChild,
  firstLine,
  freePort,
  pause,
  REPOSITORY,
  scriptArguments,
  startPinned,
  waitUntil,
} from "./children.js";
import { RULED } from "./answers.js";
import { processTree } from "./process-use.js";

/** The core of whatever stands in the middle, and the core that loader and upstream share. */
export const MIDDLE_CORE = 0;
export const OUTER_CORE = 1;

export const TARGET_NAMES = ["direct", "nginx", "gateway", "ceiling"] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface Target {
  readonly name: TargetName;
  /** Port for whole answers and for streams; they differ only where buffering is a setting. */
  port(streams: boolean): number;
  /** Processes of the middle; none for direct. */
  readonly pids: readonly number[];
  end(): Promise<void>;
}

export interface Upstream {
  readonly port: number;
  readonly pid: number;
  end(): Promise<void>;
}

export const CALLER_KEY = "sk-weir-load-rig";
const GATEWAY_ENTRY = "dist/main.js";
const READY_LIMIT_MS = 20_000;

export async function startUpstream(): Promise<Upstream> {
  const args = scriptArguments("upstream.ts");
  const child = startPinned(OUTER_CORE, process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const { port } = JSON.parse(await firstLine(child)) as { port: number };
  return { port, pid: child.pid ?? 0, end: () => endChild(child) };
}

/** Null when the target can be started here, else why not. */
export function unavailable(name: TargetName): string | null {
  if (name === "nginx" && spawnSync("nginx", ["-v"]).error !== undefined) return "nginx is not installed";
  if (name === "gateway" && !existsSync(join(REPOSITORY, GATEWAY_ENTRY))) {
    return `${GATEWAY_ENTRY} is missing: npm run build`;
  }
  return null;
}

/** Starts a target in front of the upstream; `folder` is the target's own scratch space. */
export function startTarget(
  name: TargetName,
  upstream: Upstream,
  folder: string,
  models: readonly string[],
): Promise<Target> {
  mkdirSync(folder, { recursive: true });
  if (name === "nginx") return startNginx(upstream, folder);
  if (name === "gateway") return startGateway(upstream, folder, models);
  if (name === "ceiling") return startCeiling(upstream);
  return Promise.resolve({ name, port: () => upstream.port, pids: [], end: () => Promise.resolve() });
}

async function startNginx(upstream: Upstream, folder: string): Promise<Target> {
  const whole = await freePort();
  const streams = await freePort();
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration(folder, upstream.port, whole, streams));
  const args = ["-p", folder, "-c", file, "-e", join(folder, "error.log")];
  const child = startPinned(MIDDLE_CORE, "nginx", args, { stdio: ["ignore", "ignore", "inherit"] });
  await waitUntil(child, READY_LIMIT_MS, () => answers(streams, "/"));
  const port = (streaming: boolean): number => (streaming ? streams : whole);
  return { name: "nginx", port, pids: processTree(child.pid ?? 0), end: () => endChild(child) };
}

/** One worker, kept-alive upstream connections, no log: nginx as a plain proxy at its best. */
export function nginxConfiguration(folder: string, upstreamPort: number, whole: number, streams: number): string {
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `  ${kind}_temp_path ${folder}/${kind};`,
  );
  const server = (port: number, buffering: string): string => `  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://upstream;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering ${buffering};
    }
  }`;
  return `${user}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log error;
events { worker_connections 16384; }
http {
${scratch.join("\n")}
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  upstream upstream {
    server 127.0.0.1:${upstreamPort};
    keepalive 4096;
    keepalive_requests 1000000000;
  }
${server(whole, "on")}
${server(streams, "off")}
}
`;
}

async function startGateway(upstream: Upstream, folder: string, models: readonly string[]): Promise<Target> {
  const port = await freePort();
  const opsPort = await freePort();
  const config = join(folder, "weir.yaml");
  const resources = join(folder, "resources.yaml");
  writeFileSync(config, gatewayConfiguration(port, opsPort, join(folder, "data")));
  writeFileSync(resources, gatewayResources(upstream.port, models));
  const log = openSync(join(folder, "access.log"), "a");
  const args = [GATEWAY_ENTRY, "serve", "--config", config, "--resources", resources];
  const child = startPinned(MIDDLE_CORE, process.execPath, args, { stdio: ["ignore", log, "inherit"] });
  await waitUntil(child, READY_LIMIT_MS, () => answers(port, "/readyz", 200));
  return { name: "gateway", port: () => port, pids: processTree(child.pid ?? 0), end: () => endChild(child) };
}

/** JSON is YAML. One acceptor on one core; usage, metrics and access log on, bounds wide enough for every scenario. */
export function gatewayConfiguration(port: number, opsPort: number, dataFolder: string): string {
  return JSON.stringify(
    {
      listen: `127.0.0.1:${port}`,
      ops: { listen: `127.0.0.1:${opsPort}` },
      acceptors: 1,
      data_dir: dataFolder,
      limits: { in_flight: 16_384, connections: 16_384, upstream_connections: 4096 },
      drain: { max_ms: 2000 },
      log: { level: "info", access: true },
    },
    null,
    2,
  );
}

/** "Governed": the caller's key is checked and counted against limits that it never reaches. */
export function gatewayResources(upstreamPort: number, models: readonly string[]): string {
  const provider = { provider: "openai", provider_key: "load-upstream" };
  return JSON.stringify(
    {
      _format_version: "1",
      provider_keys: [
        {
          display_name: "load-upstream",
          provider: "openai",
          api_base: `http://127.0.0.1:${upstreamPort}/v1`,
          api_key: "x",
        },
      ],
      models: models.map((model) => ({
        display_name: model,
        model_name: model,
        ...provider,
        ...(model.startsWith(RULED) ? { cost: { input_per_1k: 0.001, output_per_1k: 0.002 } } : {}),
      })),
      api_keys: [
        {
          display_name: "load-rig",
          key_hash: createHash("sha256").update(CALLER_KEY).digest("hex"),
          allowed_models: ["*"],
          rate_limit: { rpm: 100_000_000, tpm: 100_000_000_000 },
        },
      ],
      ...rulesFor(models.filter((model) => model.startsWith(RULED))),
    },
    null,
    2,
  );
}

/** Every kind of rule for these models, none of which ever refuses anything. */
function rulesFor(models: readonly string[]): Record<string, readonly object[]> {
  return {
    rate_limit_policies: models.map((model) => ({
      name: `limit of ${model}`,
      limits: { rpm: 100_000_000, tpm: 100_000_000_000, concurrency: 1_000_000 },
      conditions: { dimension: "model", operator: "==", value: model },
      group_by: ["api_key"],
    })),
    budgets: models.map((model) => ({
      name: `budget of ${model}`,
      scope: "model",
      scope_ref: model,
      limit_usd: 1_000_000_000,
      period: "day",
    })),
    cache_policies: models.map((model) => ({
      name: `cache of ${model}`,
      applies_to: `model:${model}`,
      ttl_seconds: 60,
    })),
    guardrails: models.map((model) => ({
      name: `words for ${model}`,
      kind: "keyword",
      hook_point: "input",
      patterns: [
        { kind: "literal", value: "project nightfall" },
        { kind: "regex", value: "acct-[0-9]{8}" },
      ],
    })),
    guardrail_attachments: models.map((model) => ({
      guardrail_id: `words for ${model}`,
      scope_type: "model",
      scope_id: model,
    })),
  };
}

async function startCeiling(upstream: Upstream): Promise<Target> {
  const args = [...scriptArguments("ceiling.ts"), String(upstream.port)];
  const child = startPinned(MIDDLE_CORE, process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const { port } = JSON.parse(await firstLine(child)) as { port: number };
  return { name: "ceiling", port: () => port, pids: [child.pid ?? 0], end: () => endChild(child) };
}

/** Does something answer HTTP on that loopback port (with that status, when one is given)? */
async function answers(port: number, path: string, status?: number): Promise<boolean> {
  const attempt = new Promise<boolean>((resolve) => {
    const call = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      response.resume();
      resolve(status === undefined || response.statusCode === status);
    });
    call.on("error", () => resolve(false));
    call.end();
  });
  return Promise.race([attempt, pause(1000).then(() => false)]);
}
